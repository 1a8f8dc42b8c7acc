"""Colours. Classes share them on purpose, so that colour alone tells little."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdseg_road.synthroad.dice import Dice

Colour = tuple[int, int, int]

GREYS: tuple[Colour, ...] = ((80, 82, 86), (105, 105, 108), (125, 124, 120), (150, 150, 155))
EARTHS: tuple[Colour, ...] = ((150, 95, 65), (165, 120, 80), (185, 155, 115), (140, 130, 95))
GREENS: tuple[Colour, ...] = ((50, 85, 40), (75, 115, 50), (105, 135, 70), (130, 145, 85))
VIVIDS: tuple[Colour, ...] = ((190, 40, 40), (40, 75, 175), (220, 175, 40), (230, 230, 230), (40, 40, 46))
SKIES: tuple[Colour, ...] = ((140, 180, 230), (185, 205, 230), (210, 210, 215), (165, 170, 180))
DARK: Colour = (38, 38, 44)
LIGHT: Colour = (225, 225, 222)
RED: Colour = (200, 40, 40)
BLUE: Colour = (40, 80, 190)
GLASS: Colour = (50, 56, 66)

_JITTER = 14


def mix(dice: Dice, *colours: Colour) -> Colour:
    """Draw one of the colours, moved a little."""
    red, green, blue = dice.pick(colours)
    return shade((red + _move(dice), green + _move(dice), blue + _move(dice)), dice.between(0.88, 1.12))


def shade(colour: Colour, factor: float) -> Colour:
    """Lighten or darken."""
    red, green, blue = (min(max(int(value * factor), 0), 255) for value in colour)
    return red, green, blue


def _move(dice: Dice) -> int:
    return int(dice.between(-_JITTER, _JITTER))
