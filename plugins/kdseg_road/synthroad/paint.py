"""Colours. Classes share them on purpose, so that colour alone tells little."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdseg_road.synthroad.dice import Dice

Colour = tuple[int, int, int]

MID: Colour = (122, 122, 126)
LIGHT: Colour = (225, 225, 222)
DARK: Colour = (38, 38, 44)
GREEN: Colour = (80, 130, 50)
EARTH: Colour = (180, 120, 80)
RED: Colour = (200, 40, 40)
BLUE: Colour = (40, 80, 190)
YELLOW: Colour = (225, 180, 40)
GLASS: Colour = (50, 56, 66)
SKIES: tuple[Colour, ...] = ((150, 190, 240), (190, 210, 235), (215, 220, 230))

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
