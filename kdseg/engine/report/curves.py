"""Values over the steps of a run, in a bounded number of bins: however long the run, no spike is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BINS = 400
"""A curve has at most so many points."""


@frozen(kw_only=True)
class Point:
    """What a curve shows of some steps that follow each other, or of one."""

    first: int
    last: int
    """The steps of its first and its last value."""
    count: int
    """How many values they had."""
    mean: float
    low: float
    high: float

    @property
    def middle(self) -> float:
        """Where it stands on the axis of the steps."""
        return (self.first + self.last) / 2


@define(eq=False)
class Curves:
    """Curves by name over the same steps. Their bins are made twice as wide whenever the steps outgrow them."""

    width: int = 1
    """Steps of a bin."""
    _bins: dict[str, dict[int, list[float]]] = field(factory=dict)
    """By name and number of the bin: how many values, their sum, the lowest, the highest, the first and last step."""

    def add(self, step: int, values: Iterable[tuple[str, float]]) -> None:
        """Take up what a step showed: finite values by name."""
        while step >= BINS * self.width:
            self._widen()
        number = step // self.width
        for name, value in values:
            bins = self._bins.get(name)
            if bins is None:
                bins = self._bins[name] = {}
            found = bins.get(number)
            if found is None:
                bins[number] = [1, value, value, value, step, step]
            else:
                found[0] += 1
                found[1] += value
                found[2] = min(found[2], value)
                found[3] = max(found[3], value)
                found[4] = min(found[4], step)
                found[5] = max(found[5], step)

    def _widen(self) -> None:
        self.width *= 2
        for name, bins in self._bins.items():
            wide: dict[int, list[float]] = {}
            for number, (count, total, low, high, first, last) in bins.items():
                into = wide.setdefault(number // 2, [0, 0.0, low, high, first, last])
                into[:] = (
                    *(into[0] + count, into[1] + total, min(into[2], low), max(into[3], high)),
                    *(min(into[4], first), max(into[5], last)),
                )
            self._bins[name] = wide

    def __iter__(self) -> Iterator[str]:
        """Give the names, in the order in which they came."""
        return iter(self._bins)

    def __contains__(self, name: str) -> bool:
        return name in self._bins

    def points(self, name: str) -> list[Point]:
        """Give a curve's points by their steps; none where nothing of that name came."""
        return [
            Point(
                first=int(first),
                last=int(last),
                count=int(count),
                mean=total / count,
                low=low,
                high=high,
            )
            for _, (count, total, low, high, first, last) in sorted(self._bins.get(name, {}).items())
        ]
