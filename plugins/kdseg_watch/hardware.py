"""How fast a run is, and what it takes of the machine."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

import psutil
import torch

from kdseg.hooks import Hooks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kdseg.hooks import RunView

GIB = 2**30


class MeasureHardware(Hooks):
    """Measures, and writes after every so many steps what they took.

    It keeps no state: it writes after the same steps whether the run was resumed or not.
    """

    def __init__(
        self,
        label: str,
        every: int,
        clock: Callable[[], float] = time.perf_counter,
        processor: Callable[[], tuple[float, int]] | None = None,
    ) -> None:
        self._label, self._every, self._clock = label, every, clock
        self._processor = processor or process_tree
        self._last: float | None = None  # when the last step ended, where nothing but a step came since
        self._seconds: list[float] = []
        self._told: list[Mapping[str, float]] = []
        self._times: Mapping[str, float] = {}
        self._began: tuple[float, float] | None = None  # clock and processor at the end of the last window

    def on_run_start(self, run: RunView) -> None:  # noqa: ARG002 (the event's own shape)
        """Look at the clocks."""
        self._last = None
        self._began = self._clock(), self._processor()[0]

    def on_evaluation_end(self, run: RunView) -> None:  # noqa: ARG002
        """What comes now is no part of a step."""
        self._last = None

    def on_checkpoint(self, run: RunView) -> None:  # noqa: ARG002
        """What comes now is no part of a step."""
        self._last = None

    def on_step_end(self, run: RunView) -> None:
        """Count the step, and write where it is time."""
        now = self._clock()
        if self._last is not None:
            self._seconds.append(now - self._last)
        self._last = now
        if run.times is not self._times and run.times:
            self._times = run.times
            self._told.append(run.times)
        if run.step % self._every == 0:
            self._write(run, now)

    def _write(self, run: RunView, now: float) -> None:
        began, told = self._began, self._told
        seconds = self._seconds or [one["seconds"] for one in told]  # where something came between all of them
        busy, memory = self._processor()
        found = {"memory_gib": memory / GIB, **gpu()}
        if began is not None and now > began[0]:
            found["cpu_cores"] = max(busy - began[1], 0.0) / (now - began[0])
        if seconds:
            mean = sum(seconds) / len(seconds)
            found["images_per_second"] = run.images_per_step / mean
            if told:
                waited = sum(one["data_seconds"] for one in told) / len(told)
                found["data_wait_share"] = min(waited / mean, 1.0)
        for name, value in found.items():
            run.record(f"{self._label}/{name}", round(value, 4))
        self._seconds, self._told, self._began = [], [], (now, busy)


def process_tree() -> tuple[float, int]:
    """Give the processor seconds and the memory in bytes of this process and of those that it started.

    Memory that several of them share counts for each. What a process took that has ended since counts no more.
    """
    seconds, memory = 0.0, 0
    this = psutil.Process(os.getpid())
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.Error):  # it has just ended
            times = process.cpu_times()
            seconds += times.user + times.system
            memory += process.memory_info().rss
    return seconds, memory


def gpu() -> dict[str, float]:
    """Give what torch held of the GPU at most and, where nvidia-ml-py is there, how busy it is; nothing without one."""
    if not torch.cuda.is_available():
        return {}
    found = {"gpu_memory_gib": torch.cuda.max_memory_allocated() / GIB}
    if find_spec("pynvml") is not None:
        with suppress(Exception):  # a driver that does not tell, or a part of a card, raises what its library likes
            found["gpu_percent"] = float(torch.cuda.utilization())
    return found
