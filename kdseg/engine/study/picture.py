"""The picture of a sweep: every seed's score, the means with their intervals, the differences to the baseline."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]

FINER = 3
"""It is drawn so many times larger, then made smaller: lines of any slope look smooth."""
ROW, HEAD, FOOT, PANEL, GAP = 44, 56, 40, 420, 30
INK, GREY, PALE, DOT, MEAN = (30, 30, 30), (130, 130, 130), (225, 225, 225), (120, 160, 205), (180, 60, 40)
_LETTER = 9
"""Pixels of a letter, about."""


@frozen(kw_only=True)
class Panel:
    """A scale and where it lies."""

    title: str
    left: float
    low: float
    high: float

    def at(self, value: float) -> float:
        """Give the pixel of a value."""
        return self.left + PANEL * (value - self.low) / (self.high - self.low)


def draw_table(table: Mapping[str, Any]) -> Image:
    """Draw a sweep's table: a line a row; RGB.

    On the left the scores: a dot a seed, the mean and its interval. On the right the differences to the baseline by
    seed, in the same way, and a line at 0.
    """
    rows = table["rows"]
    names = [str(row["label"]).encode("ascii", "replace").decode() for row in rows]
    margin = 20 + _LETTER * max(map(len, names))
    scores = [[*row["scores"].values()] for row in rows]
    differences = [_differences(row, table) for row in rows]
    ranges = [[*found, *_ends(row["estimate"])] for row, found in zip(rows, scores, strict=True)]
    spans = [[*found, *_ends(row["difference"])] for row, found in zip(rows, differences, strict=True)]
    panels = (
        _panel(f"{table['metric']} ({table['which']})", margin, ranges),
        _panel(f"difference to {table['baseline']}", margin + PANEL + GAP, [[0.0], *spans]),
    )
    height, width = HEAD + ROW * len(rows) + FOOT, margin + 2 * PANEL + 2 * GAP
    sheet = np.full((height * FINER, width * FINER, 3), 255, dtype=np.uint8)
    for panel in panels:
        _axis(sheet, panel, len(rows))
    _line(sheet, (panels[1].at(0), HEAD - 6), (panels[1].at(0), HEAD + ROW * len(rows)), GREY, 1.5)
    for number, (row, name) in enumerate(zip(rows, names, strict=True)):
        middle = HEAD + ROW * (number + 0.5)
        _text(sheet, name, (10, middle + 5), INK)
        _values(sheet, panels[0], middle, scores[number], row["estimate"])
        _values(sheet, panels[1], middle, differences[number], row["difference"])
    caption = "a dot a seed; the bar is the mean with its 95 % interval (t over seeds)"
    _text(sheet, caption, (margin, height - 8), GREY, 0.42)
    return cv2.resize(sheet, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)


def _differences(row: Mapping[str, Any], table: Mapping[str, Any]) -> list[float]:
    """Give the differences by seed; none where they are not paired."""
    if row["difference"] is None or not row["difference"]["paired"]:
        return []
    baseline = next(other["scores"] for other in table["rows"] if other["label"] == row["against"])
    return [score - baseline[seed] for seed, score in row["scores"].items() if seed in baseline]


def _ends(found: Mapping[str, Any] | None) -> list[float]:
    return [] if found is None or found["low"] is None else [found["low"], found["high"]]


def _panel(title: str, left: float, values: Sequence[Sequence[float]]) -> Panel:
    every = [value for those in values for value in those] or [0.0, 1.0]
    low, high = min(every), max(every)
    room = 0.06 * (high - low) or 0.01
    return Panel(title=title, left=left, low=low - room, high=high + room)


def _ticks(panel: Panel) -> list[float]:
    """Give some four round values within a scale."""
    rough = (panel.high - panel.low) / 4
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    return [step * number for number in range(math.ceil(panel.low / step), math.floor(panel.high / step) + 1)]


def _axis(sheet: Image, panel: Panel, rows: int) -> None:
    bottom = HEAD + ROW * rows
    _text(sheet, panel.title, (panel.left, 18), INK)
    for tick in _ticks(panel):
        _line(sheet, (panel.at(tick), HEAD - 6), (panel.at(tick), bottom), PALE, 1)
        label = f"{tick:.4g}"
        _text(sheet, label, (panel.at(tick) - 4 * len(label), HEAD - 14), GREY, 0.42)
    _line(sheet, (panel.left, bottom), (panel.left + PANEL, bottom), GREY, 1)


def _values(
    sheet: Image, panel: Panel, middle: float, values: Sequence[float], found: Mapping[str, Any] | None
) -> None:
    """Draw the values of a row above the line of its mean and interval."""
    for value in values:
        cv2.circle(sheet, _pixel((panel.at(value), middle - 7)), round(4.5 * FINER), DOT, -1, cv2.LINE_AA)
    if found is None:
        return
    below = middle + 8
    if found["low"] is not None:
        low, high = panel.at(found["low"]), panel.at(found["high"])
        _line(sheet, (low, below), (high, below), MEAN, 2)
        for end in (low, high):
            _line(sheet, (end, below - 4), (end, below + 4), MEAN, 2)
    _line(sheet, (panel.at(found["mean"]), below - 7), (panel.at(found["mean"]), below + 7), MEAN, 3)


def _pixel(point: tuple[float, float]) -> tuple[int, int]:
    return round(point[0] * FINER), round(point[1] * FINER)


def _line(
    sheet: Image, start: tuple[float, float], end: tuple[float, float], colour: tuple[int, int, int], width: float
) -> None:
    cv2.line(sheet, _pixel(start), _pixel(end), colour, round(width * FINER), cv2.LINE_AA)


def _text(sheet: Image, text: str, at: tuple[float, float], colour: tuple[int, int, int], size: float = 0.5) -> None:
    cv2.putText(
        sheet, text, _pixel(at), cv2.FONT_HERSHEY_SIMPLEX, size * FINER, colour, max(1, round(FINER * 0.6)), cv2.LINE_AA
    )
