"""Colours as recipes write them, and colours for classes that have none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RGB = tuple[int, int, int]
_HEX = re.compile(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")


def read_colour(text: str) -> RGB:
    """Read ``#804080`` as red, green and blue.

    Raises:
        ValueError: it is no colour.
    """
    found = _HEX.fullmatch(text)
    if found is None:
        raise ValueError(f'{text!r} is no colour; write red, green and blue as "#804080"')
    red, green, blue = (int(part, 16) for part in found.groups())
    return red, green, blue


def hex_of(code: int) -> str:
    """Write a packed colour as recipes do."""
    return f"#{code:06x}"


def packed(colour: Iterable[int]) -> int:
    """Give a colour as one number: ``0xRRGGBB``."""
    red, green, blue = colour
    return int(red) << 16 | int(green) << 8 | int(blue)


def fresh_colours(taken: Iterable[RGB]) -> Iterator[RGB]:
    """Give colours that are well apart, and none that is taken: those of Pascal VOC's colour map, from its second."""
    used = set(taken)
    for index in range(1, 2**12):
        colour = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                colour[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
        found = (colour[0], colour[1], colour[2])
        if found not in used:
            used.add(found)
            yield found
