"""Sheets of small maps: rows of tiles with a title, and beside them the scale that says which shade is which value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from attrs import field, frozen

from kdseg.charts import BLACK, GREY, blank, shades, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]
    Values = npt.NDArray[np.float64]

__all__ = ["Group", "Row", "Span", "Tile", "of_components", "sheet", "sheet_below", "tile_size"]

TILE, NARROWEST, WIDEST = 160, 128, 192
"""Columns of the tiles of large images, and the least and the most of those of small ones, which are not shrunk."""
_LEAST_ROW = 62
"""Rows that a title and three notes take."""
_TITLE, _SCALE, _LINE, _GAP = 150, 78, 17, 6
_BLUE, _WHITE, _RED = (33, 102, 172), (247, 247, 247), (178, 24, 43)
_GREY = 128
_MOST = 99.0
"""Per cent of the values that the shades tell apart: one cell far from all others would leave them one shade."""


@frozen
class Span:
    """Which values the shades stand for: 0 to `end`, dark blue to yellow; or `-end` to `end`, blue over white to red.

    What lies beyond has the last shade; what is not finite is grey.
    """

    end: float
    signed: bool = field(kw_only=True)
    beyond: bool = field(kw_only=True)
    """Whether some values lie beyond."""

    @classmethod
    def of(cls, values: Values, *, signed: bool | None = None) -> Span:
        """Give the span that shows some values; signed where some of them are negative, unless it is said."""
        finite = values[np.isfinite(values)]
        if signed is None:
            signed = bool((finite < 0).any())
        sizes = np.abs(finite)
        most = float(sizes.max(initial=0.0))
        end = float(np.percentile(sizes, _MOST)) if len(sizes) else 0.0
        end = end if end > most / 10 else most  # else nearly all is 0, and what is not is to be seen
        return cls(end, signed=signed, beyond=most > end)

    def paint(self, values: Values) -> Image:
        """Paint values h×w as RGB h×w×3."""
        hidden = ~np.isfinite(values)
        shares = np.where(hidden, 0.0, values) / (self.end or 1.0)
        if not self.signed:
            return shades(shares, 1.0, hidden)
        places = np.clip(shares, -1, 1)
        parts = [np.interp(places, (-1, 0, 1), colours) for colours in zip(_BLUE, _WHITE, _RED, strict=True)]
        painted = np.stack(parts, axis=-1).round().astype(np.uint8)
        painted[hidden] = _GREY
        return painted

    def strip(self, height: int) -> Image:
        """Give the scale as an upright strip, the greatest value on top."""
        sheet = blank(_SCALE, height)
        low = -self.end if self.signed else 0.0
        ramp = np.linspace(self.end, low, max(height - 12, 2))[:, None].repeat(11, 1)
        sheet[6 : 6 + len(ramp), 4:15] = self.paint(ramp)
        sign = ">" if self.beyond else ""
        write(sheet, f"{sign}{_short(self.end)}", (20, 16), GREY)
        write(sheet, f"{'<' if sign and self.signed else ''}{_short(low)}", (20, height - 4), GREY)
        if self.signed and height >= 3 * _LINE:
            write(sheet, "0", (20, height // 2 + 5), GREY)
        return sheet


@frozen(eq=False)
class Tile:
    """A small picture."""

    picture: Image
    """RGB, of any size; it is brought to the tile's."""
    caption: str = ""


@frozen(eq=False)
class Group:
    """Tiles of one scale, side by side."""

    tiles: Sequence[Tile]
    span: Span | None = None

    @classmethod
    def of(cls, maps: Sequence[Values], captions: Sequence[str], *, signed: bool | None = None) -> Group:
        """Paint maps h×w by one span of them all."""
        span = Span.of(np.stack([*maps]), signed=signed)
        return cls([Tile(span.paint(one), text) for one, text in zip(maps, captions, strict=True)], span)


@frozen(eq=False)
class Row:
    """Groups of tiles with what is written on their left."""

    title: str
    groups: Sequence[Group]
    notes: Sequence[str] = field(default=())
    told: Sequence[str] = field(default=())
    """Lines that are written behind the first group's tiles."""


def tile_size(height: int, width: int) -> tuple[int, int]:
    """Give the size of the tiles of images of a height and width, so that small ones have their cells alike in size."""
    factor = -(-NARROWEST // width) if width < WIDEST else TILE / width
    factor = min(factor, 2 * WIDEST / height)
    return max(round(height * factor), 1), max(round(width * factor), 1)


def of_components(maps: Values, reach: Values) -> Image:
    """Paint the first three components k×h×w as red, green and blue: grey is 0.

    Cells that are not finite are black; a component that is lacking adds nothing.

    Args:
        maps: the components.
        reach: of each, the value whose shade is the brightest; its negative has the darkest.
    """
    painted = np.full((*maps.shape[1:], 3), _GREY, np.uint8)
    for place, (one, end) in enumerate(zip(maps[:3], reach, strict=False)):
        level = np.nan_to_num(one) / (end if end > 0 else 1.0)
        painted[..., place] = np.clip(127.5 * (1 + level), 0, 255).round()
    painted[~np.isfinite(maps).all(0)] = 0
    return painted


def sheet(heading: str, rows: Sequence[Row], size: tuple[int, int], columns: Sequence[str] = ()) -> Image:
    """Set rows of tiles below each other.

    Args:
        heading: above all.
        rows: with as many groups each.
        size: height and width of a tile.
        columns: what is written above each group; of one line.
    """
    height, width = size
    most = [max(len(row.groups[place].tiles) for row in rows) for place in range(len(rows[0].groups))]
    scaled = [any(row.groups[place].span is not None for row in rows) for place in range(len(most))]
    starts = [_TITLE]
    for count, behind in zip(most, scaled, strict=True):
        starts.append(starts[-1] + count * (width + _GAP) + (_SCALE if behind else 3 * _GAP))
    top = _LINE + 12 + (_LINE if columns else 0)
    below = max(height, _LEAST_ROW) + _LINE + _GAP
    whole = blank(starts[-1], top + len(rows) * below)
    write(whole, heading, (8, _LINE))
    for text, left in zip(columns, starts, strict=False):
        write(whole, text, (left, 2 * _LINE + 4))
    for row in rows:
        write(whole, row.title, (8, top + _LINE + 12))
        for number, note in enumerate(row.notes, start=1):
            write(whole, note, (8, top + _LINE + 12 + number * _LINE), GREY)
        for number, line in enumerate(row.told, start=1):
            write(
                whole,
                line,
                (starts[0] + len(row.groups[0].tiles) * (width + _GAP) + 8, top + 12 + number * _LINE),
                GREY,
            )
        for group, left in zip(row.groups, starts, strict=False):
            _set(whole, group, (top, left), size)
        top += below
    return whole


def sheet_below(sheets: Sequence[Image]) -> Image:
    """Set sheets below each other, white where they are narrower than the widest."""
    width = max(one.shape[1] for one in sheets)
    padded = [np.pad(one, ((0, 0), (0, width - one.shape[1]), (0, 0)), constant_values=255) for one in sheets]
    return np.concatenate(padded)


def _set(whole: Image, group: Group, place: tuple[int, int], size: tuple[int, int]) -> None:
    """Draw a group's tiles, captions above them, and its scale behind the last."""
    (top, left), (height, width) = place, size
    for tile in group.tiles:
        larger = tile.picture.shape[0] > height or tile.picture.shape[1] > width
        way = cv2.INTER_AREA if larger else cv2.INTER_NEAREST
        write(whole, tile.caption, (left, top + _LINE - 4), BLACK if group.span is None else GREY)
        whole[top + _LINE : top + _LINE + height, left : left + width] = cv2.resize(
            tile.picture, (width, height), interpolation=way
        )
        left += width + _GAP
    if group.span is not None:
        whole[top + _LINE : top + _LINE + height, left : left + _SCALE] = group.span.strip(height)


def _short(value: float) -> str:
    return f"{value:.2g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.0e}"  # noqa: PLR2004
