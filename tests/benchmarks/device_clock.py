"""Time and memory of what a device does, of several things by turns, within a budget."""

from __future__ import annotations

import gc
import math
import statistics
import time
from typing import TYPE_CHECKING

import torch
from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MEBIBYTE = 1 << 20


@frozen
class Clock:
    """Measures on one device: by its own events on a GPU."""

    device: torch.device
    brief: bool = False
    """Whether it only shows that all works: a call or two of each, and figures that mean nothing."""

    def seconds(self, action: Callable[[], object], times: int = 1) -> float:
        """Give the seconds that an action takes, the mean of several calls in a row."""
        if self.device.type != "cuda":
            began = time.perf_counter()
            for _ in range(times):
                action()
            return (time.perf_counter() - began) / times
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        for _ in range(times):
            action()
        last.record()
        last.synchronize()
        return first.elapsed_time(last) / 1000 / times

    def peak(self, action: Callable[[], object]) -> float | None:
        """Give the MiB of the GPU that an action needs at its peak, beyond what is held; None on a CPU."""
        if self.device.type != "cuda":
            return None
        gc.collect()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        action()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / MEBIBYTE

    def by_turns(
        self,
        contestants: Mapping[str, Callable[[], object]],
        *,
        rounds: int,
        times: int = 1,
        seconds: float = math.inf,
    ) -> dict[str, list[float]]:
        """Give the seconds of each contestant, round by round; who goes first changes. Two rounds warm up.

        Rounds end early once so many seconds are over, but never before there are two.
        """
        taken: dict[str, list[float]] = {name: [] for name in contestants}
        began = time.perf_counter()
        warm, rounds, times = (-1, 1, 1) if self.brief else (-2, rounds, times)
        for number in range(warm, rounds):
            if number >= 2 and time.perf_counter() - began > seconds:
                break
            gc.collect()
            for name in contestants if number % 2 else reversed(contestants):
                found = self.seconds(contestants[name], times)
                if number >= 0:
                    taken[name].append(found)
        return taken


def median_ms(seconds: list[float]) -> float:
    """Give the median in milliseconds."""
    return 1000 * statistics.median(seconds)


def ratio(one: list[float], other: list[float]) -> float:
    """Give the median over rounds of one contestant's time as a share of another's."""
    return statistics.median(mine / its for mine, its in zip(one, other, strict=True))


@define
class Budget:
    """How long all may take, and what there was no time for."""

    seconds: float
    began: float = field(factory=time.perf_counter)
    left_out: list[str] = field(factory=list)

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self.seconds - (time.perf_counter() - self.began)

    def allows(self, what: str, seconds: float) -> bool:
        """Whether something of about so many seconds still fits; what does not is kept for the end."""
        if self.left >= seconds:
            return True
        self.left_out.append(what)
        return False


@define
class Report:
    """Tables, printed as they come and kept for a file."""

    tables: list[dict[str, object]] = field(factory=list)

    def begin(self, title: str, columns: tuple[str, ...]) -> None:
        """Begin a table."""
        self.tables.append({"title": title, "columns": columns, "rows": []})
        print(f"\n{title}\n{columns[0]:72}" + "".join(f"{name:>14}" for name in columns[1:]), flush=True)

    def row(self, name: str, *values: float | str | None) -> None:
        """Add a row: a name, and a value for each of the other columns, None where there is none."""
        rows = self.tables[-1]["rows"]
        assert isinstance(rows, list)
        rows.append([name, *values])
        print(f"{name:72}" + "".join(f"{_shown(value):>14}" for value in values), flush=True)


def _shown(value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
