"""What a few steps are made of, operator by operator."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from kdseg.hooks import Hooks

if TYPE_CHECKING:
    from kdseg.hooks import RunView


class Profile(Hooks):
    """Profiles `count` steps after the first `first`, once in a run, and writes what was seen.

    A step begins where the one before ended, so an evaluation between the two is part of it. One profile begins where
    another has ended: torch dies of two at once.
    """

    _busy: ClassVar[bool] = False

    def __init__(self, label: str, first: int, count: int, rows: int) -> None:
        self._label, self._first, self._count, self._rows = label, first, count, rows
        self._done = False
        self._profile: profile | None = None
        self._step: record_function | None = None
        self._seen = 0

    def on_run_start(self, run: RunView) -> None:
        """Profile the last steps of a run that is too short for those that were asked for."""
        self._first = max(min(self._first, run.total_steps - self._count), 0)
        self._begin_where_due(run)

    def on_step_end(self, run: RunView) -> None:
        """Go on to the next step, or end."""
        if self._profile is not None:
            self._end_step()
            self._seen += 1
            if self._seen >= self._count or run.step >= run.total_steps:
                self._finish(run)
                return
            self._begin_step(run)
        self._begin_where_due(run)

    def on_run_end(self, run: RunView) -> None:
        """Write what there is of a run that was stopped."""
        if self._profile is not None:
            self._end_step()
            self._finish(run)

    def on_exception(self, run: RunView, error: BaseException) -> None:  # noqa: ARG002 (the event's own shape)
        """Let go of the profiler."""
        if self._profile is not None:
            self._end_step()
            found, self._profile, Profile._busy = self._profile, None, False
            found.__exit__(None, None, None)

    def state_dict(self) -> dict[str, Any]:
        """Give whether it has written."""
        return {"done": self._done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take that up again."""
        self._done = state["done"]

    def _begin_where_due(self, run: RunView) -> None:
        if self._done or self._profile is not None or not self._first <= run.step < run.total_steps or Profile._busy:
            return
        Profile._busy = True
        on_gpu = torch.cuda.is_available()
        self._profile = profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])])
        self._profile.__enter__()
        self._begin_step(run)

    def _begin_step(self, run: RunView) -> None:
        self._step = record_function(f"step {run.step + 1}")
        self._step.__enter__()

    def _end_step(self) -> None:
        if self._step is not None:
            self._step.__exit__(None, None, None)
            self._step = None

    def _finish(self, run: RunView) -> None:
        found, self._profile, self._done, Profile._busy = self._profile, None, True, False
        assert found is not None
        found.__exit__(None, None, None)
        folder = run.folder / "profile"
        folder.mkdir(exist_ok=True)
        name = f"{self._label}-{os.environ.get('RANK', '0')}"
        found.export_chrome_trace(str(folder / f"{name}.json.gz"))
        by = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        table = found.key_averages().table(sort_by=by, row_limit=self._rows)
        (folder / f"{name}.txt").write_text(table, encoding="utf-8")
