"""Charts, maps and sheets of pictures, drawn with OpenCV: kdseg requires no plotting library."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
from attrs import field, frozen

from kdseg.data.pictures import colour_mask, fitting, grid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]
    Colour = tuple[int, int, int]

__all__ = [
    "BLACK", "BOTTOM", "COLOURS", "GREY", "HEIGHT", "LEFT", "PALE", "TOP", "WIDTH",
    "Panel", "blank", "colour_mask", "fitting", "grid", "line_chart", "round_up", "scale", "shades", "write",
]  # fmt: skip

BLACK, GREY, PALE = (30, 30, 30), (120, 120, 120), (225, 225, 225)
COLOURS: tuple[Colour, ...] = ((30, 30, 30), (0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167))
"""Of lines: apart for those who see colours otherwise, too (Okabe and Ito)."""
WIDTH, HEIGHT = 760, 460
LEFT, TOP, BOTTOM = 70, 44, 56


@frozen(eq=False)
class Panel:
    """A rectangle of a sheet with axes; both go from 0 to the stated end."""

    sheet: Image
    right: int
    """Column of its right edge."""
    top: int
    bottom: int
    """Rows of its edges."""
    y_end: float
    x_end: float = 1.0
    left: int = field(default=LEFT)

    def at(self, x: float, y: float) -> tuple[int, int]:
        """Give the pixel of a point."""
        column = self.left + x / self.x_end * (self.right - self.left)
        return round(column), round(self.bottom - y / self.y_end * (self.bottom - self.top))

    def axes(self, x_ticks: Mapping[float, str], y_ticks: Sequence[float]) -> None:
        """Draw the axes, with a pale line across at each tick of the y axis."""
        for y in y_ticks:
            cv2.line(self.sheet, self.at(0, y), self.at(self.x_end, y), PALE, 1)
            write(self.sheet, f"{y:g}", (self.left - 8, self.at(0, y)[1] + 5), GREY, align=1)
        for x, text in x_ticks.items():
            column = self.at(x, 0)[0]
            cv2.line(self.sheet, (column, self.bottom), (column, self.bottom + 5), GREY, 1)
            write(self.sheet, text, (column, self.bottom + 20), GREY, align=0.5)
        cv2.rectangle(self.sheet, (self.left, self.top), (self.right, self.bottom), GREY, 1)

    def bar(self, x: tuple[float, float], y: tuple[float, float], colour: Colour) -> None:
        """Fill a rectangle from one x and y to another."""
        (left, bottom), (right, top) = self.at(x[0], min(y)), self.at(x[1], max(y))
        cv2.rectangle(self.sheet, (left + 1, top), (right - 1, bottom), colour, cv2.FILLED)

    def level(self, x: tuple[float, float], y: float, colour: Colour) -> None:
        """Draw a level line from one x to another."""
        (left, row), (right, _) = self.at(x[0], y), self.at(x[1], y)
        cv2.line(self.sheet, (left + 1, row), (right - 1, row), colour, 3)


def blank(width: int = WIDTH, height: int = HEIGHT) -> Image:
    """Give a white sheet."""
    return np.full((height, width, 3), 255, dtype=np.uint8)


def write(sheet: Image, text: str, place: tuple[int, int], colour: Colour = BLACK, *, align: float = 0) -> None:
    """Write ASCII text; `place` is the left end of its base line, with `align` 1 the right end, with 0.5 the middle."""
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
    left = round(place[0] - align * width)
    cv2.putText(sheet, text, (left, place[1]), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)


def line_chart(
    title: str, below: str, labels: Sequence[str], series: Mapping[str, Sequence[float]], y_end: float | None = None
) -> Image:
    """Draw lines over values that are set at even distances; nan is left out.

    Args:
        title: above.
        below: below the x axis.
        labels: of the values.
        series: the values of each line, by its name.
        y_end: of the y axis; what the values need, where None.
    """
    sheet = blank()
    highest = max((value for values in series.values() for value in values if math.isfinite(value)), default=0.0)
    end = y_end or round_up(highest)
    panel = Panel(sheet, WIDTH - 210, TOP, HEIGHT - BOTTOM, end)
    places = [(number + 0.5) / len(labels) for number in range(len(labels))]
    panel.axes(dict(zip(places, labels, strict=True)), [end * share for share in (0, 0.25, 0.5, 0.75, 1)])
    write(sheet, title, (LEFT, TOP - 16))
    write(sheet, below, ((panel.left + panel.right) // 2, HEIGHT - 14), GREY, align=0.5)
    for number, (name, values) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = [panel.at(x, y) for x, y in zip(places, values, strict=True) if math.isfinite(y)]
        cv2.polylines(sheet, [np.array(points, np.int32).reshape(-1, 1, 2)], False, colour, 2, cv2.LINE_AA)  # noqa: FBT003
        for point in points:
            cv2.circle(sheet, point, 4, colour, cv2.FILLED, cv2.LINE_AA)
        row = TOP + 14 + 24 * number
        cv2.line(sheet, (panel.right + 16, row - 4), (panel.right + 40, row - 4), colour, 2, cv2.LINE_AA)
        write(sheet, name, (panel.right + 48, row))
    return sheet


def round_up(value: float) -> float:
    """Give the next number of the form 1, 2, 4 or 8 times a power of ten."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(value))
    return next(step * unit for step in (1, 2, 4, 8, 10) if step * unit >= value)


def shades(values: npt.NDArray[np.float64], end: float, hidden: npt.NDArray[np.bool_]) -> Image:
    """Paint values from dark blue, 0 and below, to yellow, `end` and above, as RGB.

    Args:
        values: H×W.
        end: above 0.
        hidden: H×W, which of them are painted grey.
    """
    levels = (255 * np.clip(np.where(hidden, 0, values) / end, 0, 1)).round().astype(np.uint8)
    painted = np.asarray(cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB), np.uint8)
    painted[hidden] = 128
    return painted


def scale(width: int, text: str, end: str) -> Image:
    """Give a strip, to be set below maps, that says which shade is which value.

    Args:
        width: columns.
        text: what the shades show, written on the left.
        end: the value of the last shade; the first is that of 0.
    """
    strip = blank(width, 34)
    (needed, _), _ = cv2.getTextSize(end, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
    right = width - needed - 16
    left = max(24, right - 260)
    ramp = np.linspace(0, 1, right - left)[None].repeat(12, 0)
    strip[10:22, left:right] = shades(ramp, 1.0, np.zeros(ramp.shape, dtype=bool))
    write(strip, "0", (left - 6, 21), GREY, align=1)
    write(strip, end, (right + 6, 21), GREY)
    write(strip, text, (left - 24, 21), GREY, align=1)
    return strip
