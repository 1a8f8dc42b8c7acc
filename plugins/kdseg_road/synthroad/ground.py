"""Sky and ground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kdseg_road.synthroad.labels import BUILDING, ROAD, SIDEWALK, SKY, TERRAIN, VEGETATION
from kdseg_road.synthroad.paint import EARTHS, GREENS, GREYS, LIGHT, SKIES, YELLOW, Colour, mix, shade
from kdseg_road.synthroad.view import FAR, NEAR, rects, rows

if TYPE_CHECKING:
    from kdseg_road.synthroad.dice import Dice
    from kdseg_road.synthroad.layout import Street
    from kdseg_road.synthroad.view import View

_WIDE = 3 * FAR
_DEPTHS = np.geomspace(NEAR, FAR, 12)
_LINE = np.stack([np.zeros_like(_DEPTHS), np.zeros_like(_DEPTHS), _DEPTHS], axis=-1)
_ORIGIN, _RIGHT, _AHEAD = (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


def paint_sky(view: View, dice: Dice) -> None:
    """Fill the canvas with a sky that changes towards the horizon, and end it in a skyline of hills or houses."""
    top, low = (np.array(mix(dice, *SKIES)) for _ in range(2))
    rows_of_sky = top + (low - top) * np.linspace(0, 1, len(view.canvas))[:, None]
    view.canvas[..., :3] = rows_of_sky.astype(np.uint8)[:, None]
    view.canvas[..., 3] = SKY
    hills = dice.chance(0.6)
    x = np.linspace(-1.5 * FAR, 1.5 * FAR, 25)
    tops = np.array([dice.between(2.5, 9 if hills else 18) for _ in x])
    if not hills:
        x, tops = np.repeat(x, 2)[1:-1], np.repeat(tops[:-1], 2)
    outline = np.stack([x, tops, np.full_like(x, FAR)], axis=-1)
    foot = np.array(((1.5 * FAR, -6, FAR), (-1.5 * FAR, -6, FAR)))
    colours, label = (GREENS, VEGETATION) if hills else (GREYS, BUILDING)
    view.fill(np.concatenate([outline, foot]), mix(dice, *colours), label)


def paint_ground(view: View, dice: Dice, street: Street) -> None:
    """Paint terrain, pavements, the road with its marks, and a side street."""
    asphalt, stone = mix(dice, *GREYS), mix(dice, *GREYS)
    _strip(view, -_WIDE, 0, mix(dice, *GREENS, *EARTHS[1:]), TERRAIN)
    _strip(view, 0, _WIDE, mix(dice, *GREENS, *EARTHS[1:]), TERRAIN)
    for side in street.sides:
        if side.pavement:
            _pave(view, side.pavement, stone)
    _strip(view, street.left.kerb, street.right.kerb, asphalt, ROAD)
    _paint_marks(view, dice, street)
    if street.junction:
        near, far = street.junction
        left, right = dice.pick(((-_WIDE, _WIDE), (-_WIDE, street.right.kerb), (street.left.kerb, _WIDE)))
        view.panel(_ORIGIN, _RIGHT, _AHEAD, rects(left, near, right, np.array([far])), asphalt, ROAD)
        if dice.chance(0.6):
            bars = rows(street.left.kerb + 0.4, street.right.kerb - 0.6, 1.1)
            view.panel(_ORIGIN, _RIGHT, _AHEAD, rects(bars, near - 3.2, bars + 0.55, near - 0.6), LIGHT, ROAD)


def _pave(view: View, pavement: tuple[float, float], stone: Colour) -> None:
    """Paint a pavement with its kerb and joints."""
    inner, outer = pavement
    _strip(view, inner, outer, stone, SIDEWALK)
    joints = rows(NEAR, 20, 1.1)
    rectangles = rects(inner, joints, outer, joints + 0.08 + 0.006 * joints)
    view.panel(_ORIGIN, _RIGHT, _AHEAD, rectangles, shade(stone, 0.75), SIDEWALK)
    _strip(view, inner, inner + (0.25 if outer > inner else -0.25), shade(stone, 1.2), SIDEWALK)


def _paint_marks(view: View, dice: Dice, street: Street) -> None:
    """Paint dashes between lanes and lines at the edges."""
    paint = mix(dice, LIGHT, LIGHT, YELLOW)
    left, right = street.left.kerb, street.right.kerb
    if dice.chance(0.6):
        for x in (left + 0.3, right - 0.45):
            _strip(view, x, x + 0.16, paint, ROAD)
    dashes = rows(NEAR + dice.between(0, 5), 45, 6.0)
    for lane in range(1, street.lanes):
        x = left + (right - left) * lane / street.lanes
        view.panel(_ORIGIN, _RIGHT, _AHEAD, rects(x - 0.1, dashes, x + 0.1, dashes + 3), paint, ROAD)


def _strip(view: View, x0: float, x1: float, colour: Colour, label: int) -> None:
    """Fill the ground between two lines along the road."""
    outline = np.concatenate([_LINE, _LINE[::-1]])
    outline[: len(_LINE), 0] = x0
    outline[len(_LINE) :, 0] = x1
    view.fill(outline, colour, label)
