"""Poles, lamps, traffic lights and signs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from kdseg_road.synthroad.labels import POLE, TRAFFIC_LIGHT, TRAFFIC_SIGN
from kdseg_road.synthroad.paint import BLUE, DARK, GREYS, LIGHT, RED, mix, shade
from kdseg_road.synthroad.thing import Thing
from kdseg_road.synthroad.view import box, circle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdseg_road.synthroad.dice import Dice
    from kdseg_road.synthroad.street import Street
    from kdseg_road.synthroad.view import View

_LAMPS = ((235, 60, 50), (240, 180, 50), (70, 220, 120))


def furniture(dice: Dice, street: Street) -> Iterator[Thing]:
    """Put poles along both sides, bare or with a lamp, a traffic light or a sign."""
    for side in street.sides:
        z = dice.between(5, 11)
        while z < 30:
            x = side.kerb + side.sign * dice.between(0.3, 0.9)
            z = max(z, abs(x) / 0.42)
            paint = dice.pick((_lamp, _traffic_light, _traffic_light, _sign, _sign, _sign))
            yield Thing(z, partial(paint, x=x, z=z))
            z += dice.between(8, 20)


def _pole(view: View, dice: Dice, x: float, z: float, height: float) -> None:
    width = dice.between(0.17, 0.25) + 0.004 * z
    metal, dark = mix(dice, *GREYS), mix(dice, DARK)
    view.card(x, z, box(-width, 0, width, height), metal, POLE)
    view.card(x, z, box(-width, 0, -width / 3, height), dark, POLE)


def _lamp(view: View, dice: Dice, *, x: float, z: float) -> None:
    height = dice.between(5, 8)
    _pole(view, dice, x, z, height)
    reach = dice.sign() * dice.between(0.8, 2.0)
    view.card(x, z, box(0, height, reach, height + 0.22), mix(dice, *GREYS), POLE)


def _traffic_light(view: View, dice: Dice, *, x: float, z: float) -> None:
    foot = dice.between(1.6, 2.4)
    _pole(view, dice, x, z, foot + dice.between(0.2, 1.6))
    view.card(x, z, box(-0.55, foot - 0.05, 0.55, foot + 2.25), mix(dice, LIGHT), TRAFFIC_LIGHT)
    view.card(x, z, box(-0.4, foot + 0.1, 0.4, foot + 2.1), mix(dice, DARK), TRAFFIC_LIGHT)
    lit = dice.count(0, 2)
    for i, lamp in enumerate(_LAMPS):
        colour = lamp if i == lit else shade(lamp, 0.6)
        view.card(x, z, circle(0, foot + 1.8 - 0.7 * i, 0.3), colour, TRAFFIC_LIGHT)


def _sign(view: View, dice: Dice, *, x: float, z: float) -> None:
    """A disc, triangle, diamond or board with a border and something upon it."""
    middle, radius = dice.between(1.8, 2.6), dice.between(0.7, 0.95)
    _pole(view, dice, x, z, middle + dice.between(0, 0.8))
    corners = dice.pick((
        circle(0, 0, 1),
        np.array(((-1.0, -0.75), (1.0, -0.75), (0.0, 1.0))),
        np.array(((-1.0, 0.0), (0.0, -1.0), (1.0, 0.0), (0.0, 1.0))),
        box(-0.9, -0.9, 0.9, 0.9),
        box(-1.5, -0.6, 1.5, 0.6),
    ))  # fmt: skip
    border, inside = dice.pick(((RED, LIGHT), (LIGHT, BLUE), (BLUE, LIGHT), (LIGHT, RED)))
    view.card(x, z, corners * radius + (0, middle), mix(dice, border), TRAFFIC_SIGN)
    view.card(x, z, corners * (radius * 0.68) + (0, middle), mix(dice, inside), TRAFFIC_SIGN)
    mark = box(-0.3, -0.12, 0.3, 0.12) if dice.chance(0.5) else box(-0.1, -0.35, 0.1, 0.35)
    view.card(x, z, mark * radius + (0, middle), mix(dice, border), TRAFFIC_SIGN)
