"""People on foot, riders and bicycles."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from kdseg_road.synthroad.labels import BICYCLE, PERSON, RIDER
from kdseg_road.synthroad.paint import DARK, EARTHS, GREENS, GREYS, VIVIDS, mix, shade
from kdseg_road.synthroad.thing import Thing
from kdseg_road.synthroad.view import box, circle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdseg_road.synthroad.dice import Dice
    from kdseg_road.synthroad.street import Street
    from kdseg_road.synthroad.view import View

_SKIN = ((225, 185, 155), (170, 120, 90), (95, 65, 50), (60, 45, 40))


def people(dice: Dice, street: Street) -> Iterator[Thing]:
    """Put people on pavements and, at times, on the road; riders near the kerbs."""
    for _ in range(dice.count(0, 1)):
        z = dice.between(3.5, 7)
        x = z * dice.between(-0.36, 0.36)
        for _ in range(dice.count(1, 2)):
            yield _standing(z, x, partial(person, x=x, z=z))
            x, z = x + dice.between(0.5, 0.8), z + dice.between(-0.2, 0.2)
    for _ in range(dice.count(1, 2)):
        z = dice.between(3.8, 7.5)
        x = z * dice.between(-0.36, 0.36)
        yield _standing(z, x, partial(bicycle, x=x, z=z, ridden=dice.chance(0.75)))


def _place(dice: Dice, street: Street, *, on_road: bool) -> float:
    if on_road:
        return dice.between(street.left.kerb, street.right.kerb)
    side = dice.pick(street.sides)
    inner, outer = side.pavement or (side.kerb, side.front)
    return dice.between(inner, outer)


def _standing(z: float, x: float, paint: partial[None]) -> Thing:
    return Thing(z, paint, (x - 0.4, x + 0.4, z - 0.2, z + 0.4))


def person(view: View, dice: Dice, *, x: float, z: float) -> None:
    """Legs, trunk, arms and head."""
    size = dice.between(0.9, 1.15)
    stride = dice.between(0.05, 0.28)
    trousers, shirt, skin = mix(dice, *VIVIDS, *GREYS), mix(dice, *VIVIDS, *GREENS, *EARTHS), mix(dice, *_SKIN)
    legs = np.array((
        ((-stride - 0.09, 0), (-stride + 0.09, 0), (0.0, 0.85), (-0.19, 0.85)),
        ((stride - 0.09, 0), (stride + 0.09, 0), (0.19, 0.85), (0.0, 0.85)),
    ))  # fmt: skip
    trunk = np.array(((-0.2, 0.8), (0.2, 0.8), (0.3, 1.3), (0.2, 1.45), (-0.2, 1.45), (-0.3, 1.3)))
    view.card(x, z, legs * size, trousers, PERSON)
    view.card(x, z, trunk * size, shirt, PERSON)
    view.card(x, z, np.stack([box(-0.33, 0.85, -0.23, 1.35), box(0.23, 0.85, 0.33, 1.35)]) * size, shade(shirt, 0.7), PERSON)
    view.card(x, z, circle(0, 1.6, 0.14) * size, skin, PERSON)


def bicycle(view: View, dice: Dice, *, x: float, z: float, ridden: bool) -> None:
    """Two wheels and a frame, seen more or less from the side; with a rider leaning forward or without."""
    size, turn, way = dice.between(1.0, 1.2), dice.between(0.3, 1.0), dice.sign()
    frame, shirt, trousers = mix(dice, *VIVIDS), mix(dice, *VIVIDS), mix(dice, *VIVIDS)
    squash = np.array((size * turn * way, size))
    for wheel in (-0.55, 0.55):
        view.card(x, z, circle(wheel, 0.36, 0.37) * squash, mix(dice, DARK), BICYCLE)
        view.card(x, z, circle(wheel, 0.36, 0.26) * squash, mix(dice, *GREYS), BICYCLE)
    bars = np.array((
        ((-0.58, 0.32), (-0.5, 0.42), (0.4, 0.85), (0.4, 0.7)),
        ((-0.2, 0.3), (-0.05, 0.3), (-0.2, 0.95), (-0.32, 0.95)),
        ((0.5, 0.32), (0.6, 0.4), (0.42, 1.1), (0.3, 1.05)),
        ((-0.1, 0.28), (0.02, 0.28), (0.45, 0.8), (0.35, 0.85)),
    ))  # fmt: skip
    view.card(x, z, bars * squash, frame, BICYCLE)
    if not ridden:
        return
    wide = np.array((size * max(turn, 0.55) * way, size))
    leg = np.array(((-0.3, 0.95), (-0.05, 1.0), (0.2, 0.7), (0.08, 0.2), (-0.08, 0.2), (0.0, 0.65)))
    trunk = np.array(((-0.34, 0.9), (0.0, 0.9), (0.35, 1.35), (0.2, 1.6), (-0.1, 1.5)))
    arm = np.array(((0.2, 1.45), (0.32, 1.35), (0.5, 1.0), (0.4, 0.98)))
    view.card(x, z, leg * wide, trousers, RIDER)
    view.card(x, z, trunk * wide, shirt, RIDER)
    view.card(x, z, arm * wide, shade(shirt, 0.75), RIDER)
    view.card(x, z, circle(0.26, 1.72, 0.16) * wide, mix(dice, *VIVIDS, *_SKIN), RIDER)
