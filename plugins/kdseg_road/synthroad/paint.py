"""Colours. Classes share them on purpose, so that colour alone tells little."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdseg_road.synthroad.dice import Dice

Colour = tuple[int, int, int]

GREYS: tuple[Colour, ...] = ((60, 62, 66), (95, 95, 98), (125, 124, 120), (150, 150, 155), (185, 186, 190))
EARTHS: tuple[Colour, ...] = ((120, 80, 60), (150, 115, 85), (185, 160, 125), (205, 190, 160), (140, 130, 95))
GREENS: tuple[Colour, ...] = ((45, 75, 40), (75, 105, 50), (105, 130, 70), (130, 145, 85), (60, 95, 75))
VIVIDS: tuple[Colour, ...] = ((185, 40, 40), (40, 75, 165), (215, 170, 40), (235, 235, 235), (30, 30, 34), (215, 110, 40))
SKIES: tuple[Colour, ...] = ((140, 180, 230), (185, 205, 230), (215, 215, 220), (185, 190, 200), (235, 215, 190))

DARK: Colour = (32, 32, 36)
GLASS: Colour = (62, 72, 84)
ANY = GREYS + EARTHS + GREENS + VIVIDS

_JITTER = 18


def mix(dice: Dice, colours: tuple[Colour, ...]) -> Colour:
    """Draw one of the colours, moved a little."""
    red, green, blue = dice.pick(colours)
    return shade((red + _move(dice), green + _move(dice), blue + _move(dice)), dice.between(0.85, 1.15))


def shade(colour: Colour, factor: float) -> Colour:
    """Lighten or darken."""
    red, green, blue = (min(max(int(value * factor), 0), 255) for value in colour)
    return red, green, blue


def _move(dice: Dice) -> int:
    return int(dice.between(-_JITTER, _JITTER))
