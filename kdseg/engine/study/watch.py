"""A study's progress: a bar where a person watches, a line a run where none does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from kdseg.engine.study.children import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console

    from kdseg.engine.study.costs import Costs
    from kdseg.engine.study.planned import PlannedRun


class ConsoleWatch(Watch):
    """Tells of runs on a console, with the time that is left: in proportion to the operations of the runs."""

    def __init__(
        self,
        console: Console,
        where: str,
        costs: Mapping[str, Costs],
        jobs: int,
        *,
        go_on: str,
        score: Callable[[PlannedRun], str | None] = lambda _run: None,
    ) -> None:
        """Begin.

        Args:
            console: where to tell.
            where: the study's folder, as people know it.
            costs: of a run, by its label.
            jobs: runs at once.
            go_on: the command that goes on after a stop.
            score: says what a finished run came to.
        """
        self._console, self._where, self._of_label, self._jobs = console, where, costs, jobs
        self._go_on, self._score = go_on, score
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._costs: dict[str, float] = {}
        self._began: dict[str, float] = {}
        self._ended = 0
        self._seconds = self._made = 0.0

    def planned(self, runs: Sequence[PlannedRun], done: int) -> None:
        """Say how many runs are there and how many are to come."""
        for run in runs:
            if costs := self._of_label.get(run.label):
                self._costs[run.name] = costs.flops
                # Shared out over the teachers that it needs: close enough to tell how long they take.
                self._costs |= {teacher.name: costs.flops_before / len(run.needs) for teacher in run.needs}
        self._ended, self._costs = 0, {run.name: self._costs.get(run.name, 0.0) for run in runs}
        there = f"; {done} are there" if done else ""
        self._print(f"{self._where}: {len(runs)} runs, {self._jobs} at once{there}")
        self._bar.start()
        self._task = self._bar.add_task("runs", total=len(runs), left="")

    def started(self, run: PlannedRun) -> None:
        """Tell of it."""
        self._began[run.name] = time.monotonic()
        self._print(f"{run.name}: begins")

    def waits(self, run: PlannedRun) -> None:
        """Tell of it."""
        self._print(f"{run.name}: still under way in a process of a command that was killed; this one waits for it")

    def ended(self, run: PlannedRun, seconds: float, failure: str | None) -> None:
        """Tell what came of it, and how long the rest will take."""
        cost = self._costs.pop(run.name, 0.0)
        self._ended += 1
        if failure is None:
            self._seconds, self._made = self._seconds + seconds, self._made + cost
        whole = self._ended + len(self._costs)
        left = self._left()
        self._bar.update(self._task, completed=self._ended, left=left)
        counted = f"({self._ended} of {whole}{', ' if left else ''}{left})"
        if failure is not None:
            self._print(f"{run.name}: failed {counted}")
            for line in failure.splitlines():
                self._print(f"  {line}")
        else:
            self._print(
                f"{run.name}: {f'{score} ' if (score := self._score(run)) else ''}in {duration(seconds)} {counted}"
            )
        if not self._costs:
            self._bar.stop()

    def stopping(self, number: int) -> None:
        """Say that the runs write checkpoints."""
        self._bar.stop()
        self._print(f"stopping: the runs write their checkpoints (signal {number})")
        self._print(f"to go on: {self._go_on}")

    def _left(self) -> str:
        if not self._made or not self._costs:
            return ""
        now = time.monotonic()
        under_way = sum(now - self._began[name] for name in self._costs if name in self._began)
        seconds = sum(self._costs.values()) * self._seconds / self._made - under_way
        return f"about {duration(max(seconds, 0) / self._jobs)} left"

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """Write a time for people."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s"
