"""Charts of curves as plain SVG: a page's style sheet gives them colours, in the light and in the dark."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import frozen

from kdseg.engine.report.words import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kdseg.engine.report.curves import Point

WIDTH, HEIGHT = 640, 334
LEFT, RIGHT, TOP, BOTTOM = 74, 630, 14, 294
"""Edges of what the axes enclose."""
COLOURS = 8
LOGARITHMIC = 200
"""Positive values that differ by so large a factor are shown on a scale of their magnitude."""
MARKED = 30
"""A line of so few points shows each."""
GAP = 3
"""So many points that are missing part a band."""
_DASHES = ("", "8 4", "2 4", "10 3 2 3")


@frozen(kw_only=True)
class Tick:
    """A value of an axis, and where it stands."""

    at: float
    text: str


@frozen(kw_only=True)
class Mark:
    """A point of a line with what it says."""

    x: float
    y: float
    text: str


@frozen(kw_only=True)
class Line:
    """One curve, drawn."""

    label: str
    colour: int
    dash: str
    path: str
    band: str
    """Between the lowest and the highest of each bin; empty where a point is one value."""
    marks: tuple[Mark, ...]
    told: str
    """What it shows, in words."""


@frozen(kw_only=True)
class Chart:
    """A chart, drawn."""

    title: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    scale: str
    """What is to be known of the scale; empty where it is an ordinary one."""
    turns: bool
    """Whether it shows whose turn it was."""


@frozen(kw_only=True)
class Scale:
    """An axis: which value stands where."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Give the place of a value."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, wanted: int) -> tuple[Tick, ...]:
        """Give some round values."""
        if self.logarithmic:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            every = max(1, round((last - first) / wanted))
            values = [10.0**power for power in range(first, last + 1, every)]
        else:
            step = round_step((self.high - self.low) / wanted)
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            values = [step * each for each in range(first, last + 1)]
        inside = (value for value in values if self.low * 0.999999 <= value <= self.high * 1.000001 or value == 0)
        return tuple(Tick(at=round(self.at(value), 1), text=number(value)) for value in inside)


def round_step(rough: float) -> float:
    """Give the next of 1, 2 and 5 times a power of ten."""
    if not rough > 0 or not math.isfinite(rough):
        return 1.0
    unit = 10.0 ** math.floor(math.log10(rough))
    return next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999999)


def steps_scale(last_step: int) -> Scale:
    """Give the axis of a run's steps."""
    return Scale(low=0.0, high=float(max(last_step, 1)), start=LEFT, end=RIGHT)


def draw(
    title: str,
    curves: Mapping[str, Sequence[Point]],
    colours: Mapping[str, int],
    last_step: int,
    *,
    limits: tuple[float, float] | None = None,
    turns: bool = False,
) -> Chart | None:
    """Draw curves over the steps.

    Args:
        title: above it.
        curves: the points of each, by its name.
        colours: a number for each name.
        last_step: where the axis of the steps ends.
        limits: what the other axis spans at least; where None, as the values need.
        turns: whether it shows whose turn it was.

    Returns:
        None where there is nothing to draw.
    """
    drawn = {label: points for label, points in curves.items() if points}
    if not drawn:
        return None
    across = steps_scale(last_step)
    up = _values_scale([point for points in drawn.values() for point in points], limits)
    return Chart(
        title=title,
        lines=tuple(_line(label, points, colours[label], across, up) for label, points in drawn.items()),
        x_ticks=across.ticks(6),
        y_ticks=up.ticks(5),
        scale="logarithmic" if up.logarithmic else "",
        turns=turns,
    )


def _values_scale(points: Sequence[Point], limits: tuple[float, float] | None) -> Scale:
    low, high = min(point.low for point in points), max(point.high for point in points)
    if limits is None and low > 0 and high / low > LOGARITHMIC:
        return Scale(low=low, high=high, start=BOTTOM, end=TOP, logarithmic=True)
    if limits is not None:
        low, high = min(low, limits[0]), max(high, limits[1])
    elif low > 0 and low < 0.5 * high:  # zero is near enough to be shown
        low = 0.0
    room = 0.04 * (high - low) or 0.05 * abs(high) or 1.0
    bottom = low if limits is not None or low == 0 else low - room
    return Scale(
        low=bottom, high=high if limits is not None and high == limits[1] else high + room, start=BOTTOM, end=TOP
    )


def _line(label: str, points: Sequence[Point], colour: int, across: Scale, up: Scale) -> Line:
    places = [(round(across.at(point.middle), 1), round(up.at(point.mean), 1)) for point in points]
    binned = any(point.low != point.high for point in points)
    return Line(
        label=label,
        colour=colour % COLOURS,
        dash=_DASHES[colour // COLOURS % len(_DASHES)],
        path="M" + "L".join(f"{x:g} {y:g}" for x, y in places),
        band=_band(points, [x for x, _ in places], up) if binned else "",
        marks=()
        if len(points) > MARKED and len(points) > 1
        else tuple(
            Mark(x=x, y=y, text=f"{label}, {_steps(point)}: {number(point.mean)}")
            for (x, y), point in zip(places, points, strict=True)
        ),
        told=_told(label, points),
    )


def _band(points: Sequence[Point], across: Sequence[float], up: Scale) -> str:
    """Span what lies between the lowest and the highest; nothing where for many steps there was no value."""
    parts: list[list[tuple[float, Point]]] = []
    widest = max(point.last - point.first + 1 for point in points)
    for x, point in zip(across, points, strict=True):
        if not parts or point.first - parts[-1][-1][1].last > GAP * widest:
            parts.append([])
        parts[-1].append((x, point))
    path = ""
    for part in parts:
        upper = [f"{x:g} {up.at(point.high):.1f}" for x, point in part]
        lower = [f"{x:g} {up.at(point.low):.1f}" for x, point in reversed(part)]
        path += "M" + "L".join([*upper, *lower]) + "Z"
    return path


def _steps(point: Point) -> str:
    return f"step {point.last}" if point.first == point.last else f"steps {point.first} to {point.last}"


def _told(label: str, points: Sequence[Point]) -> str:
    """Say what a curve shows, for whoever does not see it."""
    first, last = points[0], points[-1]
    if len(points) == 1:
        return f"{label}: {number(first.mean)} at {_steps(first)}"
    lowest, highest = min(points, key=lambda point: point.low), max(points, key=lambda point: point.high)
    return (
        f"{label}: {number(first.mean)} at {_steps(first)}, {number(last.mean)} at {_steps(last)}; lowest "
        f"{number(lowest.low)} at {_steps(lowest)}, highest {number(highest.high)} at {_steps(highest)}"
    )
