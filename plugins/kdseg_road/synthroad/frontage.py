"""What stands along a street: houses, walls, fences, hedges and trees."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from kdseg_road.synthroad.labels import BUILDING, FENCE, VEGETATION, WALL
from kdseg_road.synthroad.layout import Thing
from kdseg_road.synthroad.paint import DARK, EARTHS, GLASS, GREENS, GREYS, LIGHT, mix, shade
from kdseg_road.synthroad.view import CIRCLE, NEAR, box, rects, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdseg_road.synthroad.dice import Dice
    from kdseg_road.synthroad.layout import Side, Street
    from kdseg_road.synthroad.view import View

_END = 60.0
_KINDS = ("house", "house", "wall", "wall", "wall", "fence", "fence", "fence", "trees", "trees", "hedge")
_WHOLE = np.array(((0.0, 0.0, 1.0, 1.0),))
_UP = (0.0, 1.0, 0.0)
_CLUMPS = np.stack([0.24 * CIRCLE + place for place in ((-0.45, 0.3), (0.1, -0.5), (0.4, 0.35))])


def frontage(dice: Dice, street: Street) -> Iterator[Thing]:
    """Line both sides of the street with sections of different kinds, open where a side street joins."""
    start, end = street.junction or (_END, _END)
    for side in street.sides:
        near = NEAR
        while near < _END:
            far = near + dice.between(5, 13) * (1 + near / 20)
            if near < start:
                far = min(far, start)
            elif near < end:
                near = end
                continue
            yield from _section(dice, side, near, far)
            near = far


def _section(dice: Dice, side: Side, near: float, far: float) -> Iterator[Thing]:
    kind = dice.pick(_KINDS)
    if kind == "house":
        yield Thing(far, partial(_house, side=side, near=near, far=far, set_back=0.0), labels=(BUILDING,))
    elif kind == "trees":
        yield from _trees(dice, side, near, far, 0.0)
    elif kind == "hedge":
        yield Thing(far, partial(_hedge, side=side, near=near, far=far), labels=(VEGETATION,))
    else:
        behind = dice.pick(("house", "trees", "trees", "nothing"))
        if behind == "house":
            set_back = dice.between(3, 7)
            yield Thing(
                far + 0.1, partial(_house, side=side, near=near, far=far, set_back=set_back), labels=(BUILDING,)
            )
        elif behind == "trees":
            yield from _trees(dice, side, near, far, dice.between(2, 5))
        paint, label = (_wall, WALL) if kind == "wall" else (_fence, FENCE)
        yield Thing(far, partial(paint, side=side, near=near, far=far), labels=(label,))


def _house(view: View, dice: Dice, *, side: Side, near: float, far: float, set_back: float) -> None:
    """A block with rows of windows towards the street and the camera."""
    x, height = side.front + side.sign * set_back, dice.between(4.5, 15)
    plaster = mix(dice, *EARTHS, *GREYS, LIGHT)
    gable, front = ((x, 0.0, near), (side.sign, 0.0, 0.0)), ((x, 0.0, 0.0), (0.0, 0.0, 1.0))
    gable_colour = shade(plaster, dice.between(0.65, 0.9))
    view.panel(*gable, _UP, np.array(((0, 0, 9.0, height),)), gable_colour, BUILDING)
    view.panel(*front, _UP, np.array(((near, 0, far, height),)), plaster, BUILDING)
    glass = mix(dice, GLASS, DARK)
    pitch, wide, tall = dice.between(1.0, 1.5), dice.between(0.45, 0.6), dice.between(0.7, 0.95)
    pitch *= 1 + near / 30  # far windows would be finer than pixels
    storeys = rows(0.9, height - tall, dice.between(1.4, 1.8) * (1 + near / 30))
    for (corner, along), start, end in ((front, max(near, 3.0) + 0.4, far - 0.6), (gable, 0.5, 8.5)):
        windows = rows(start, end, pitch)[:, None]
        rectangles = rects(windows, storeys, windows + wide * pitch, storeys + tall)
        view.panel(corner, along, _UP, rectangles.reshape(-1, 4), glass, BUILDING)


def _wall(view: View, dice: Dice, *, side: Side, near: float, far: float) -> None:
    """A wall as high as a person or more, of courses of stone."""
    height = dice.between(1.8, 3.2)
    stone = mix(dice, *EARTHS, *GREYS)
    corner, along = (side.front, 0.0, near), (0.0, 0.0, far - near)
    view.panel(corner, (side.sign * 0.5 * height, 0.0, 0.0), (0.0, height, 0.0), _WHOLE, shade(stone, 0.75), WALL)
    view.panel(corner, along, (0.0, height, 0.0), _WHOLE, stone, WALL)
    courses = rows(0.35, height - 0.1, dice.between(0.3, 0.4))
    view.panel(corner, along, _UP, rects(0.0, courses, 1.0, courses + 0.14), shade(stone, 0.7), WALL)
    view.panel(corner, along, _UP, rects(0.0, height, 1.0, np.array([height + 0.18])), shade(stone, 1.2), WALL)


def _fence(view: View, dice: Dice, *, side: Side, near: float, far: float) -> None:
    """Pickets on rails, darker behind."""
    height = dice.between(1.6, 2.6)
    wood = mix(dice, *EARTHS, *GREYS, *GREENS[:2])
    corner, along = (side.front, 0.0, near), (0.0, 0.0, far - near)
    view.panel(corner, along, (0.0, height, 0.0), _WHOLE, shade(wood, 0.6), FENCE)
    pitch = dice.between(0.25, 0.35) * (1 + near / 8)
    pickets = rows(max(near, 2.0), far, pitch)
    foot, ahead = (side.front, 0.0, 0.0), (0.0, 0.0, 1.0)
    view.panel(foot, ahead, _UP, rects(pickets, 0.0, pickets + 0.5 * pitch, height), wood, FENCE)
    rails = np.array((0.2, 0.75)) * height
    view.panel(corner, along, _UP, rects(0.0, rails, 1.0, rails + 0.12 * height), wood, FENCE)


def _hedge(view: View, dice: Dice, *, side: Side, near: float, far: float) -> None:
    """A hedge with a ragged top."""
    height = dice.between(1.0, 2.4)
    leaf = mix(dice, *GREENS)
    corner, across = (side.front, 0.0, near), (side.sign * 1.5, 0.0, 0.0)
    view.panel(corner, across, (0.0, height, 0.0), _WHOLE, shade(leaf, 0.75), VEGETATION)
    z = np.linspace(near, far, 10)
    tops = [height * dice.between(0.85, 1.15) for _ in z]
    outline = np.stack([np.full_like(z, side.front), tops, z], axis=-1)
    foot = np.array(((side.front, 0.0, far), (side.front, 0.0, near)))
    view.fill(np.concatenate([outline, foot]), leaf, VEGETATION)


def _trees(dice: Dice, side: Side, near: float, far: float, set_back: float) -> Iterator[Thing]:
    z = max(near, 4.0) + dice.between(0, 2)
    while z < far:
        x = side.front + side.sign * (set_back + dice.between(0, 2))
        yield Thing(z, partial(_tree, x=x, z=z), labels=(VEGETATION,), span=(x - 3, x + 3), shade=2.0)
        z += dice.between(3, 6) * (1 + z / 20)


def _tree(view: View, dice: Dice, *, x: float, z: float) -> None:
    """A trunk, and a lobed crown with lighter and darker clumps."""
    height, radius = dice.between(3.0, 6.5), dice.between(1.2, 2.4)
    leaf = mix(dice, *GREENS)
    view.card(x, z, box(-0.16, 0, 0.16, height), mix(dice, *EARTHS[:2], *GREYS[:2]), VEGETATION)
    lobes = np.array([dice.between(0.85, 1.2) for _ in CIRCLE])[:, None]
    middle = np.array((0, height))
    view.card(x, z, CIRCLE * lobes * radius + middle, leaf, VEGETATION)
    for factor, turn in ((0.7, radius), (1.3, -radius)):
        view.card(x, z, _CLUMPS * turn + middle, shade(leaf, factor), VEGETATION)
