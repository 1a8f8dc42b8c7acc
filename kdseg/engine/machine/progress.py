"""Live progress where a person watches, plain lines where none does."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kdseg.engine.folders.run_folder import is_finished
from kdseg.errors import display_path
from kdseg.hooks import Hooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kdseg.hooks import RunView

PLAIN_SECONDS = 10.0
"""Seconds between two plain lines."""
REDRAW_SECONDS = 0.2


class ConsoleProgress(Hooks):
    """Shows a run on a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rate]}  {task.fields[losses]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._began = self._shown = 0.0
        self._first_step = 0

    def on_run_start(self, run: RunView) -> None:
        """Say what begins."""
        sizes = ", ".join(f"{name} {_millions(network)}" for name, network in run.participants.items())
        self._print(f"{display_path(run.folder)}: {run.total_steps} steps; {sizes}")
        self._began = self._shown = time.monotonic()
        self._first_step = run.step
        self._task = self._bar.add_task(
            run.folder.parent.name, total=run.total_steps, completed=run.step, rate="", losses=""
        )
        self._bar.start()

    def on_step_end(self, run: RunView) -> None:
        """Show losses and rate, seldom enough to cost nothing."""
        now = time.monotonic()
        if now - self._shown < (REDRAW_SECONDS if self._console.is_terminal else PLAIN_SECONDS):
            return
        self._shown = now
        rate = f"{(run.step - self._first_step) / (now - self._began):.2f} steps/s"
        losses = "  ".join(
            f"{name.removeprefix('loss/')} {value:.3f}"
            for name, value in run.values.items()
            if name.startswith("loss/")
        )
        if self._console.is_terminal:
            self._bar.update(self._task, completed=run.step, rate=rate, losses=losses)
        else:
            self._print(f"step {run.step}/{run.total_steps}  {rate}  {losses}")

    def on_evaluation_end(self, run: RunView) -> None:
        """Print each participant's scores."""
        scores = "  ".join(
            f"{name.removeprefix('val/').replace('/', ' ')} {value:.3f}"
            for name, value in run.values.items()
            if name.startswith("val/")
        )
        self._print(f"step {run.step}/{run.total_steps}  epoch {run.epoch + 1}  {scores}")

    def on_run_end(self, run: RunView) -> None:  # noqa: ARG002 (every event has it)
        """Clear the bar."""
        self._bar.stop()

    def on_exception(self, run: RunView, error: BaseException) -> None:  # noqa: ARG002 (the event has it)
        """Leave the terminal as it was, and say how to go on."""
        self._bar.stop()
        if (run.folder / "checkpoints").exists() and not is_finished(run.folder):
            self._print(f"to go on from the last checkpoint: kdseg resume {display_path(run.folder)}")

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def counted(name: str, total: int) -> Iterator[Callable[[], None]]:
    """Show how many of a number of things are done, where a person watches; what is given is called after each."""
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=total)
        yield lambda: bar.advance(task)


def _millions(network: object) -> str:
    return f"{sum(p.numel() for p in network.parameters()) / 1e6:.3g}M"  # type: ignore[attr-defined]
