"""Lamp posts, traffic lights and signs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from kdseg_road.synthroad.labels import POLE, TRAFFIC_LIGHT, TRAFFIC_SIGN
from kdseg_road.synthroad.layout import Thing
from kdseg_road.synthroad.paint import BLUE, DARK, GREENS, GREYS, LIGHT, RED, Colour, mix, shade
from kdseg_road.synthroad.view import CIRCLE, box

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdseg_road.synthroad.dice import Dice
    from kdseg_road.synthroad.layout import Street
    from kdseg_road.synthroad.view import View

_LAMPS: tuple[Colour, ...] = ((70, 220, 120), (240, 180, 50), (235, 60, 50))  # from below
_SHAPES = (
    CIRCLE,
    np.array(((-1.0, -0.75), (1.0, -0.75), (0.0, 1.0))),
    np.array(((-1.0, 0.0), (0.0, -1.0), (1.0, 0.0), (0.0, 1.0))),
    box(-0.9, -0.9, 0.9, 0.9),
    box(-1.4, -0.6, 1.4, 0.6),
)
_MARKS = (box(-0.3, -0.12, 0.3, 0.12), box(-0.1, -0.35, 0.1, 0.35))
_IN_VIEW = 0.42  # x/z at which something stands near the edge of the picture
_END = 30.0


def furniture(dice: Dice, street: Street) -> Iterator[Thing]:
    """Put poles along both kerbs, with a lamp, a traffic light or a sign."""
    for side in street.sides:
        z = dice.between(5, 11)
        while z < _END:
            x = side.kerb + side.sign * dice.between(0.3, 0.9)
            z = max(z, abs(x) / _IN_VIEW)
            paint, labels = dice.pick((
                (_lamp_post, (POLE,)),
                (_traffic_light, (POLE, TRAFFIC_LIGHT)),
                (_traffic_light, (POLE, TRAFFIC_LIGHT)),
                (_sign, (POLE, TRAFFIC_SIGN)),
                (_sign, (POLE, TRAFFIC_SIGN)),
                (_sign, (POLE, TRAFFIC_SIGN)),
            ))  # fmt: skip
            yield Thing(z, partial(paint, x=x, z=z), labels=labels, span=(x - 2.2, x + 2.2))
            z += dice.between(8, 20)


def _pole(view: View, dice: Dice, x: float, z: float, height: float) -> None:
    half = dice.between(0.17, 0.25) + 0.004 * z
    metal = mix(dice, *GREYS, *GREENS[:1])
    view.card(x, z, box(-half, 0, half, height), metal, POLE)
    view.card(x, z, box(-half, 0, -half / 3, height), shade(metal, 0.6), POLE)


def _lamp_post(view: View, dice: Dice, *, x: float, z: float) -> None:
    height = dice.between(5, 8)
    _pole(view, dice, x, z, height)
    reach = dice.pick((-1, 1)) * dice.between(0.8, 2.0)
    view.card(x, z, box(0, height, reach, height + 0.25), mix(dice, *GREYS), POLE)


def _traffic_light(view: View, dice: Dice, *, x: float, z: float) -> None:
    """Three lamps, one of them lit, in a dark box with a light border."""
    foot = dice.between(1.6, 2.4)
    _pole(view, dice, x, z, foot + dice.between(0.2, 1.6))
    view.card(x, z, box(-0.55, foot - 0.05, 0.55, foot + 2.25), mix(dice, LIGHT), TRAFFIC_LIGHT)
    view.card(x, z, box(-0.4, foot + 0.1, 0.4, foot + 2.1), mix(dice, DARK), TRAFFIC_LIGHT)
    lit = dice.count(0, 2)
    for i, lamp in enumerate(_LAMPS):
        colour = lamp if i == lit else shade(lamp, 0.6)
        view.card(x, z, CIRCLE * 0.3 + np.array((0, foot + 0.4 + 0.7 * i)), colour, TRAFFIC_LIGHT)


def _sign(view: View, dice: Dice, *, x: float, z: float) -> None:
    """A disc, triangle, diamond or board with a border and a mark."""
    height, radius = dice.between(1.8, 2.6), dice.between(0.7, 0.95)
    _pole(view, dice, x, z, height + dice.between(0, 0.8))
    shape, middle = dice.pick(_SHAPES) * radius, np.array((0, height))
    border, inside = (
        mix(dice, colour) for colour in dice.pick(((RED, LIGHT), (LIGHT, RED), (BLUE, LIGHT), (LIGHT, BLUE)))
    )
    view.card(x, z, shape + middle, border, TRAFFIC_SIGN)
    view.card(x, z, shape * 0.68 + middle, inside, TRAFFIC_SIGN)
    view.card(x, z, dice.pick(_MARKS) * radius + middle, border, TRAFFIC_SIGN)
