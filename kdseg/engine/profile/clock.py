"""Time of several things by turns, so that whatever else the machine does hits all of them alike."""

from __future__ import annotations

import gc
import math
import time
from statistics import median
from typing import TYPE_CHECKING

import torch
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WARM_UP = 3
"""Rounds that count for nothing: caches fill, kernels are chosen, clocks rise."""
LEAST = 5
"""Rounds that are made however long they take."""


@frozen
class Timing:
    """Seconds of one thing, round by round."""

    seconds: tuple[float, ...]

    def percentile(self, share: float) -> float:
        """Give the value that this share, 0..1, of the rounds stays at or below: the nearest rank."""
        ordered = sorted(self.seconds)
        return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.seconds)

    def interval(self) -> tuple[float, float]:
        """Give a 95 % interval of the median, whatever the distribution is.

        Source: order statistics; the ranks are those of the binomial's normal approximation, n/2 ± 1.96 √n/2, widened
        to whole ranks (Conover, Practical Nonparametric Statistics, 3rd edition, section 3.2).
        """
        ordered, n = sorted(self.seconds), len(self.seconds)
        half = 1.96 * math.sqrt(n) / 2
        low, high = math.floor(n / 2 - half), math.ceil(n / 2 + 1 + half)
        return ordered[max(low, 1) - 1], ordered[min(high, n) - 1]


def by_turns(
    contestants: Mapping[str, Callable[[], object]],
    *,
    device: torch.device,
    rounds: int,
    seconds: float = math.inf,
    on_round: Callable[[], object] = lambda: None,
) -> dict[str, Timing]:
    """Time contestants in alternating order, after rounds that warm up.

    Args:
        contestants: what is done, by name.
        device: a GPU's time is taken by its own events, from the first kernel to the last.
        rounds: how many count.
        seconds: all of them end early once so many are over, but for `LEAST` rounds.
        on_round: called after each, the first ones too.
    """
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    names = [*contestants]
    began = time.perf_counter()
    for number in range(-WARM_UP, rounds):
        if number >= LEAST and time.perf_counter() - began > seconds:
            break
        gc.collect()
        for name in names if number % 2 else reversed(names):
            found = one_call(contestants[name], device)
            if number >= 0:
                taken[name].append(found)
        on_round()
    return {name: Timing(tuple(found)) for name, found in taken.items()}


def one_call(action: Callable[[], object], device: torch.device) -> float:
    """Give the seconds of one call."""
    if device.type != "cuda":
        began = time.perf_counter()
        action()
        return time.perf_counter() - began
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call] # of torch
    first.record()
    action()
    last.record()
    last.synchronize()
    return float(first.elapsed_time(last)) / 1000


def ratio(one: Timing, other: Timing) -> float:
    """Give the median over rounds of how many times longer one took than the other."""
    return median(mine / its for mine, its in zip(one.seconds, other.seconds, strict=True))


def peak_matmul(device: torch.device, dtype: torch.dtype, size: int = 2048) -> tuple[Callable[[], object], float]:
    """Give a large matrix product, as about the most that a machine calculates, and its floating-point operations."""
    left, right = (torch.rand(size, size, device=device).to(dtype) for _ in range(2))
    return lambda: left @ right, 2.0 * size**3


def as_milliseconds(timing: Timing) -> dict[str, float | None]:
    """Give what is told of a timing, in milliseconds; a percentile is None where no round lies above it."""
    low, high = timing.interval()
    return {
        "p50": 1000 * timing.median,
        "low": 1000 * low,
        "high": 1000 * high,
        "p95": 1000 * timing.percentile(0.95) if len(timing.seconds) >= 20 else None,  # noqa: PLR2004 (1 / (1 - 0.95))
        "p99": 1000 * timing.percentile(0.99) if len(timing.seconds) >= 100 else None,  # noqa: PLR2004 (likewise)
        "rounds": len(timing.seconds),
    }
