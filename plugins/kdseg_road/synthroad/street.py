"""The layout of a street, and the ground and sky of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from kdseg_road.synthroad.labels import BUILDING, ROAD, SIDEWALK, SKY, TERRAIN, VEGETATION
from kdseg_road.synthroad.paint import EARTHS, GREENS, GREYS, SKIES, Colour, mix, shade
from kdseg_road.synthroad.view import NEAR

if TYPE_CHECKING:
    from kdseg_road.synthroad.dice import Dice
    from kdseg_road.synthroad.view import Points, View

FAR = 90.0
"""Metres ahead at which the world ends in a skyline."""

_DEPTHS = np.geomspace(NEAR, FAR, 16)


@frozen(kw_only=True)
class Side:
    """What lies beside the road, on the left (sign -1) or the right (1). All x in metres from the camera."""

    sign: int
    kerb: float
    """Where the road ends."""
    pavement: tuple[float, float] | None
    """Its inner and outer x."""
    front: float
    """Where houses, walls and trees begin."""


@frozen(kw_only=True)
class Street:
    """Where things are."""

    left: Side
    right: Side
    lanes: int
    crossing: tuple[float, float] | None
    """From where to where a side street joins, in metres ahead."""

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both sides."""
        return self.left, self.right

    def lane(self, index: int) -> float:
        """Give the middle of a lane, counted from the left."""
        width = (self.right.kerb - self.left.kerb) / self.lanes
        return self.left.kerb + width * (index + 0.5)


def draw_street(dice: Dice) -> Street:
    """Draw a layout. Mostly the camera stands in a lane, at times on a pavement."""
    lanes = dice.count(1, 4)
    width = lanes * dice.between(2.8, 3.8)
    left = -dice.between(1.2, max(width - 1.2, 1.4))
    if dice.chance(0.2):
        left = dice.between(0.5, 2.0) if dice.chance(0.5) else -width - dice.between(0.5, 2.0)
    start = dice.between(9, 35)
    return Street(
        left=_draw_side(dice, -1, left),
        right=_draw_side(dice, 1, left + width),
        lanes=lanes,
        crossing=(start, start + dice.between(6, 10)) if dice.chance(0.4) else None,
    )


def _draw_side(dice: Dice, sign: int, kerb: float) -> Side:
    outer = kerb
    pavement = None
    if dice.chance(0.4):
        outer += sign * dice.between(0.8, 3.0)  # a verge
    if dice.chance(0.75):
        inner, outer = outer, outer + sign * dice.between(1.6, 4.0)
        pavement = (inner, outer)
    if dice.chance(0.5) or pavement is None:
        outer += sign * dice.between(0.6, 4.0)
    return Side(sign=sign, kerb=kerb, pavement=pavement, front=outer)


def paint_sky(view: View, dice: Dice) -> None:
    """Fill the canvas with a sky, brighter or darker towards the horizon, and end it in a skyline."""
    top, low = (np.array(mix(dice, *SKIES)) for _ in range(2))
    rows = np.linspace(0, 1, view.canvas.shape[0])[:, None, None]
    view.canvas[..., :3] = np.clip(top + (low - top) * rows, 0, 255)
    view.canvas[..., 3] = SKY
    green = dice.chance(0.6)
    x = np.linspace(-1.5 * FAR, 1.5 * FAR, 25)
    tops = np.array([dice.between(2.5, 9 if green else 18) for _ in x])
    if not green:
        x, tops = np.repeat(x, 2)[1:-1], np.repeat(tops[:-1], 2)
    line = np.stack([x, tops, np.full(x.shape, FAR)], axis=-1)
    ends = np.array(((1.5 * FAR, -6, FAR), (-1.5 * FAR, -6, FAR)))
    view.fill(np.concatenate([line, ends]), mix(dice, *(GREENS if green else GREYS)), VEGETATION if green else BUILDING)


def paint_ground(view: View, dice: Dice, street: Street) -> None:
    """Paint terrain, pavements, the road and its marks."""
    asphalt = mix(dice, *GREYS)
    stone = mix(dice, *GREYS)
    _strip(view, -FAR * 3, 0, mix(dice, *GREENS, *EARTHS[1:]), TERRAIN)
    _strip(view, 0, FAR * 3, mix(dice, *GREENS, *EARTHS[1:]), TERRAIN)
    for side in street.sides:
        if side.pavement:
            _pave(view, dice, side.pavement, stone)
    _strip(view, street.left.kerb, street.right.kerb, asphalt, ROAD)
    _paint_marks(view, dice, street)
    if street.crossing:
        near, far = street.crossing
        x = (-60.0, 60.0) if dice.chance(0.5) else (street.left.kerb, 60.0) if dice.chance(0.5) else (-60.0, street.right.kerb)
        corners = ((x[0], 0, near), (x[1], 0, near), (x[1], 0, far), (x[0], 0, far))
        view.fill(np.array(corners), asphalt, ROAD)
        if dice.chance(0.6):
            stripes = np.arange(street.left.kerb + 0.4, street.right.kerb - 0.6, 1.1)
            rects = np.stack([stripes, np.zeros_like(stripes), stripes + 0.55, np.full_like(stripes, 2.6)], axis=-1)
            view.panel((0, 0, near - 3.2), (1, 0, 0), (0, 0, 1), rects, (225, 225, 220), ROAD)


def _pave(view: View, dice: Dice, pavement: tuple[float, float], stone: Colour) -> None:
    """Paint a pavement with its kerb and joints."""
    inner, outer = pavement
    _strip(view, inner, outer, stone, SIDEWALK)
    joint = shade(stone, 0.75)
    step = dice.between(0.8, 1.4)
    z = np.arange(NEAR, 22, step)
    rects = np.stack([np.full_like(z, inner), z, np.full_like(z, outer), z + 0.07 * step + 0.006 * z], axis=-1)
    view.panel((0, 0, 0), (1, 0, 0), (0, 0, 1), rects, joint, SIDEWALK)
    _strip(view, (inner + outer) / 2 - 0.04, (inner + outer) / 2 + 0.04, joint, SIDEWALK)
    _strip(view, inner, inner + (0.25 if outer > inner else -0.25), shade(stone, 1.2), SIDEWALK)


def _paint_marks(view: View, dice: Dice, street: Street) -> None:
    """Paint dashes between lanes and lines at the edges."""
    paint = dice.pick(((228, 228, 224), (200, 200, 196), (215, 180, 70)))
    left, right = street.left.kerb, street.right.kerb
    if dice.chance(0.6):
        for x in (left + 0.3, right - 0.45):
            _strip(view, x, x + 0.16, paint, ROAD)
    z = np.arange(NEAR + dice.between(0, 5), 45, 6.0)
    for lane in range(1, street.lanes):
        x = np.full_like(z, left + (right - left) * lane / street.lanes)
        view.panel((0, 0, 0), (1, 0, 0), (0, 0, 1), np.stack([x - 0.1, z, x + 0.1, z + 3], axis=-1), paint, ROAD)


def _strip(view: View, x0: float, x1: float, colour: Colour, label: int) -> None:
    """Fill the ground between two lines along the road."""
    edge = np.stack([np.full_like(_DEPTHS, x0), np.zeros_like(_DEPTHS), _DEPTHS], axis=-1)
    other: Points = edge[::-1].copy()
    other[:, 0] = x1
    view.fill(np.concatenate([edge, other]), colour, label)
