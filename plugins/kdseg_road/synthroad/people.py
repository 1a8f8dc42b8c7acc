"""People on foot, riders and bicycles."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from kdseg_road.synthroad.labels import BICYCLE, PERSON, RIDER
from kdseg_road.synthroad.layout import Thing
from kdseg_road.synthroad.paint import EARTHS, GREENS, GREYS, VIVIDS, Colour, mix, shade
from kdseg_road.synthroad.view import CIRCLE, box

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdseg_road.synthroad.dice import Dice
    from kdseg_road.synthroad.view import Floats, View

_SKIN: tuple[Colour, ...] = ((225, 185, 155), (170, 120, 90), (95, 65, 50), (60, 45, 40))
_IN_VIEW = 0.36  # x/z near the edge of the picture

# Metres, for someone 1.75 tall.
_LEGS = np.array((
    ((-1.0, 0.0), (-1.0, 0.0), (0.0, 0.85), (0.0, 0.85)),
    ((1.0, 0.0), (1.0, 0.0), (0.0, 0.85), (0.0, 0.85)),
))  # fmt: skip
_LEG_WIDTHS = np.array(
    (((-0.09, 0.0), (0.09, 0.0), (0.0, 0.0), (-0.19, 0.0)), ((-0.09, 0.0), (0.09, 0.0), (0.19, 0.0), (0.0, 0.0)))
)
_TRUNK = np.array(((-0.2, 0.8), (0.2, 0.8), (0.3, 1.3), (0.2, 1.45), (-0.2, 1.45), (-0.3, 1.3)))
_ARMS = np.stack([box(-0.33, 0.85, -0.23, 1.35), box(0.23, 0.85, 0.33, 1.35)])
_HEAD = CIRCLE * 0.14 + np.array((0, 1.6))

# A bicycle heading right, and who rides it.
_TYRES = np.stack([CIRCLE * 0.37 + np.array((x, 0.36)) for x in (-0.55, 0.55)])
_SPOKES = np.stack([CIRCLE * 0.25 + np.array((x, 0.36)) for x in (-0.55, 0.55)])
_FRAME = np.array((
    ((-0.58, 0.32), (-0.5, 0.42), (0.4, 0.85), (0.4, 0.7)),
    ((-0.2, 0.3), (-0.05, 0.3), (-0.2, 0.95), (-0.32, 0.95)),
    ((0.5, 0.32), (0.6, 0.4), (0.42, 1.1), (0.3, 1.05)),
    ((-0.1, 0.28), (0.02, 0.28), (0.45, 0.8), (0.35, 0.85)),
))  # fmt: skip
_RIDER_LEG = np.array(((-0.3, 0.95), (-0.05, 1.0), (0.2, 0.7), (0.08, 0.2), (-0.08, 0.2), (0.0, 0.65)))
_RIDER_TRUNK = np.array(((-0.34, 0.9), (0.0, 0.9), (0.35, 1.35), (0.2, 1.6), (-0.1, 1.5)))
_RIDER_ARM = np.array(((0.2, 1.45), (0.32, 1.35), (0.5, 1.0), (0.4, 0.98)))
_RIDER_HEAD = CIRCLE * 0.16 + np.array((0.26, 1.72))


def people(dice: Dice) -> Iterator[Thing]:
    """Put people, alone and in pairs, and bicycles, mostly ridden, wherever the camera sees them."""
    for _ in range(dice.count(0, 1)):
        z = dice.between(3.5, 7)
        x = z * dice.between(-_IN_VIEW, _IN_VIEW)
        for _ in range(dice.count(1, 2)):
            yield Thing(z, partial(_person, x=x, z=z), labels=(PERSON,), span=(x - 0.5, x + 0.5), shade=0.5)
            x, z = x + dice.between(0.5, 0.8), z + dice.between(-0.2, 0.2)
    for _ in range(dice.count(1, 2)):
        z = dice.between(3.8, 7.5)
        x = z * dice.between(-_IN_VIEW, _IN_VIEW)
        ridden = dice.chance(0.75)
        labels = (BICYCLE, RIDER) if ridden else (BICYCLE,)
        paint = partial(_bicycle, x=x, z=z, ridden=ridden)
        yield Thing(z, paint, labels=labels, span=(x - 1.2, x + 1.2), shade=0.5)


def _person(view: View, dice: Dice, *, x: float, z: float) -> None:
    """Legs, trunk, arms and head."""
    size, stride = dice.between(0.9, 1.15), np.array((dice.between(0.05, 0.28), 1.0))
    shirt = mix(dice, *VIVIDS, *GREENS, *EARTHS)
    parts: tuple[tuple[Floats, Colour], ...] = (
        (_LEGS * stride + _LEG_WIDTHS, mix(dice, *VIVIDS, *GREYS)),
        (_TRUNK, shirt),
        (_ARMS, shade(shirt, 0.7)),
        (_HEAD, mix(dice, *_SKIN)),
    )
    for shape, colour in parts:
        view.card(x, z, shape * size, colour, PERSON)


def _bicycle(view: View, dice: Dice, *, x: float, z: float, ridden: bool) -> None:
    """Two wheels and a frame, seen more or less from the side; with someone leaning forward, or without."""
    size, turn, way = dice.between(1.0, 1.2), dice.between(0.3, 1.0), dice.pick((-1, 1))
    squash = np.array((size * turn * way, size))
    view.card(x, z, _TYRES * squash, mix(dice, *GREYS[:2]), BICYCLE)
    view.card(x, z, _SPOKES * squash, mix(dice, *GREYS), BICYCLE)
    view.card(x, z, _FRAME * squash, mix(dice, *VIVIDS), BICYCLE)
    if ridden:
        squash[0] = size * max(turn, 0.55) * way
        shirt = mix(dice, *VIVIDS)
        view.card(x, z, _RIDER_LEG * squash, mix(dice, *VIVIDS), RIDER)
        view.card(x, z, _RIDER_TRUNK * squash, shirt, RIDER)
        view.card(x, z, _RIDER_ARM * squash, shade(shirt, 0.75), RIDER)
        view.card(x, z, _RIDER_HEAD * squash, mix(dice, *VIVIDS, *_SKIN), RIDER)
