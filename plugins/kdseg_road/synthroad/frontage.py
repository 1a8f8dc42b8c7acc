"""What stands along a street: houses, walls, fences, hedges and trees."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from kdseg_road.synthroad.labels import BUILDING, FENCE, VEGETATION, WALL
from kdseg_road.synthroad.paint import DARK, EARTHS, GLASS, GREENS, GREYS, VIVIDS, mix, shade
from kdseg_road.synthroad.thing import Thing
from kdseg_road.synthroad.view import NEAR, circle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdseg_road.synthroad.dice import Dice
    from kdseg_road.synthroad.street import Side, Street
    from kdseg_road.synthroad.view import Points, View

_END = 70.0
_WHOLE = np.array(((0.0, 0.0, 1.0, 1.0),))


def frontage(dice: Dice, street: Street) -> Iterator[Thing]:
    """Line both sides of the street with sections of different kinds."""
    for side in street.sides:
        near = NEAR
        while near < _END:
            far = near + dice.between(5, 13) * (1 + near / 25)
            if street.crossing and near < street.crossing[1] and far > street.crossing[0]:
                far = min(far, street.crossing[0])
                if far - near < 1:
                    near = street.crossing[1]
                    continue
            yield from _section(dice, side, near, far)
            near = far


def _section(dice: Dice, side: Side, near: float, far: float) -> Iterator[Thing]:
    kind = dice.pick(("house", "house", "wall", "wall", "wall", "fence", "fence", "fence", "trees", "trees", "hedge"))
    if kind == "house":
        yield Thing(far, partial(_house, side=side, near=near, far=far, set_back=0.0))
    elif kind in ("wall", "fence"):
        behind = dice.pick(("house", "trees", "trees", "open"))
        if behind == "house":
            yield Thing(far + 0.2, partial(_house, side=side, near=near, far=far, set_back=dice.between(3, 7)))
        elif behind == "trees":
            yield from _trees(dice, side, near, far, dice.between(2, 5))
        yield Thing(far, partial(_wall if kind == "wall" else _fence, side=side, near=near, far=far))
    elif kind == "hedge":
        yield Thing(far, partial(_hedge, side=side, near=near, far=far))
    elif kind == "trees":
        yield from _trees(dice, side, near, far, 0.0)


def _house(view: View, dice: Dice, *, side: Side, near: float, far: float, set_back: float) -> None:
    """A block with rows of windows."""
    x = side.front + side.sign * set_back
    height = dice.between(4.5, 15)
    plaster = mix(dice, *EARTHS, *GREYS, *VIVIDS[3:4])
    glass = mix(dice, GLASS, DARK)
    # the gable towards the camera
    view.panel((x, 0, near), (side.sign * 9, 0, 0), (0, height, 0), _WHOLE, shade(plaster, dice.between(0.6, 0.9)), BUILDING)
    view.panel((x, 0, near), (0, 0, far - near), (0, height, 0), _WHOLE, plaster, BUILDING)
    storeys = np.arange(1.1, height - 1.2, dice.between(1.4, 1.7))
    pitch, wide, tall = dice.between(1.0, 1.4), dice.between(0.45, 0.6), dice.between(0.7, 0.9)
    first = max(near, 3.0)
    for start, end, corner, along in (
        (first + 0.4, far - 0.8, (x, 0.0, 0.0), (0.0, 0.0, 1.0)),
        (0.6, 8.0, (x, 0.0, near), (side.sign * 1.0, 0.0, 0.0)),
    ):
        s = np.arange(start, end, pitch)
        if s.size and storeys.size:
            s, t = (grid.ravel() for grid in np.meshgrid(s, storeys))
            view.panel(corner, along, (0, 1, 0), np.stack([s, t, s + wide * pitch, t + tall], axis=-1), glass, BUILDING)
    if dice.chance(0.5):
        rects = np.array(((0, height - 0.5, 1, height), (0, 0, 1, 0.5)))
        view.panel((x, 0, near), (0, 0, far - near), (0, 1, 0), rects, shade(plaster, 0.7), BUILDING)


def _wall(view: View, dice: Dice, *, side: Side, near: float, far: float) -> None:
    """A wall as high as a person, with courses of stone."""
    height = dice.between(1.8, 3.2)
    stone = mix(dice, *EARTHS, *GREYS)
    mortar = shade(stone, 0.7)
    view.panel((side.front, 0, near), (side.sign * 0.5, 0, 0), (0, height, 0), _WHOLE, shade(stone, 0.75), WALL)
    view.panel((side.front, 0, near), (0, 0, far - near), (0, height, 0), _WHOLE, stone, WALL)
    courses = np.arange(0.35, height - 0.1, dice.between(0.3, 0.36))
    rects = np.stack([np.zeros_like(courses), courses, np.ones_like(courses), courses + 0.16], axis=-1)
    view.panel((side.front, 0, near), (0, 0, far - near), (0, 1, 0), rects, mortar, WALL)
    view.panel(
        (side.front, height, near), (0, 0, far - near), (0, 1, 0), np.array(((0, 0, 1, 0.18),)), mortar, WALL
    )


def _fence(view: View, dice: Dice, *, side: Side, near: float, far: float) -> None:
    """Pickets between two rails, dark behind."""
    height = dice.between(1.6, 2.6)
    wood = mix(dice, *EARTHS, *GREYS, *GREENS[:2])
    gap = shade(wood, 0.6)
    view.panel((side.front, 0, near), (0, 0, far - near), (0, height, 0), _WHOLE, gap, FENCE)
    pitch = dice.between(0.25, 0.35)
    s = np.arange(max(near, 2.0), far, pitch * (1 + near / 20))
    rects = np.stack([s, np.zeros_like(s), s + 0.5 * pitch * (1 + near / 20), np.full_like(s, height)], axis=-1)
    view.panel((side.front, 0, 0), (0, 0, 1), (0, 1, 0), rects, wood, FENCE)
    rails = np.array(((0, height * 0.2, 1, height * 0.32), (0, height * 0.75, 1, height * 0.87)))
    view.panel((side.front, 0, near), (0, 0, far - near), (0, 1, 0), rects=rails, colour=wood, label=FENCE)


def _hedge(view: View, dice: Dice, *, side: Side, near: float, far: float) -> None:
    """A hedge with a ragged top."""
    height = dice.between(1.0, 2.4)
    leaf = mix(dice, *GREENS)
    view.panel((side.front, 0, near), (side.sign * 1.5, 0, 0), (0, height, 0), _WHOLE, shade(leaf, 0.75), VEGETATION)
    z = np.linspace(near, far, 12)
    top = np.array([height * dice.between(0.85, 1.15) for _ in z])
    line = np.stack([np.full_like(z, side.front), top, z], axis=-1)
    ends = np.array(((side.front, 0, far), (side.front, 0, near)))
    view.fill(np.concatenate([line, ends]), leaf, VEGETATION)


def _trees(dice: Dice, side: Side, near: float, far: float, set_back: float) -> Iterator[Thing]:
    z = max(near, 4.0) + dice.between(0, 2)
    while z < far:
        yield Thing(z, partial(tree, x=side.front + side.sign * (set_back + dice.between(0, 2)), z=z))
        z += dice.between(2.5, 5) * (1 + z / 30)


def tree(view: View, dice: Dice, *, x: float, z: float) -> None:
    """A trunk and a lobed crown with lighter and darker clumps."""
    height, radius = dice.between(3.0, 6.5), dice.between(1.2, 2.4)
    bark, leaf = mix(dice, *EARTHS[:2]), mix(dice, *GREENS)
    view.card(x, z, np.array(((-0.15, 0), (0.15, 0), (0.12, height), (-0.12, height))), bark, VEGETATION)
    lobes = np.array([dice.between(0.8, 1.2) for _ in range(14)])[:, None]
    crown: Points = circle(0, 0, radius) * lobes
    view.card(x, z, crown + (0, height), leaf, VEGETATION)
    for factor in (0.7, 1.3):
        clumps = [
            circle(radius * dice.between(-0.6, 0.6), height + radius * dice.between(-0.6, 0.6), radius * 0.24)
            for _ in range(3)
        ]
        view.card(x, z, np.stack(clumps), shade(leaf, factor), VEGETATION)
