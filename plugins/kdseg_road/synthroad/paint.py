"""Colours. Classes share them on purpose, so that colour alone tells little."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdseg_road.synthroad.dice import Dice

Colour = tuple[int, int, int]

DARK: Colour = (40, 40, 46)
LIGHT: Colour = (228, 228, 226)
RED: Colour = (195, 40, 40)
BLUE: Colour = (40, 78, 180)
YELLOW: Colour = (220, 175, 40)
GLASS: Colour = (50, 56, 66)
GREYS: tuple[Colour, ...] = ((80, 82, 86), (105, 105, 108), (125, 124, 120), (150, 150, 155))
EARTHS: tuple[Colour, ...] = ((150, 95, 65), (165, 120, 80), (185, 155, 115), (140, 130, 95))
GREENS: tuple[Colour, ...] = ((50, 85, 40), (75, 115, 50), (105, 135, 70), (130, 145, 85))
SKIES: tuple[Colour, ...] = ((140, 180, 230), (185, 205, 230), (210, 210, 215), (165, 170, 180))
VIVIDS = (RED, BLUE, YELLOW, LIGHT, DARK)

_WARMTH = 14


def mix(dice: Dice, *colours: Colour) -> Colour:
    """Draw one of the colours, made a little warmer or colder, lighter or darker."""
    red, green, blue = dice.pick(colours)
    warmth = dice.between(-_WARMTH, _WARMTH)
    return shade((int(red + warmth), green, int(blue - warmth)), dice.between(0.86, 1.14))


def shade(colour: Colour, factor: float) -> Colour:
    """Lighten or darken."""
    red, green, blue = colour
    return _level(red * factor), _level(green * factor), _level(blue * factor)


def _level(value: float) -> int:
    return 0 if value < 0 else 255 if value > 255 else int(value)  # noqa: PLR2004 (8 bits)
