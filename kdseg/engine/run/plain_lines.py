"""A run told in plain lines, where nobody watches a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kdseg.engine.folders.run_folder import is_finished
from kdseg.errors import display_path
from kdseg.hooks import Hooks

if TYPE_CHECKING:
    from rich.console import Console

    from kdseg.hooks import RunView

SECONDS = 10.0
"""Between two lines."""


class PlainLines(Hooks):
    """Prints what begins, a line every so often, each evaluation, and how to go on."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._began = self._shown = 0.0
        self._first_step = 0

    def on_run_start(self, run: RunView) -> None:
        """Say what begins."""
        sizes = ", ".join(f"{name} {millions(network)}" for name, network in run.participants.items())
        self.print(f"{display_path(run.folder)}: {run.total_steps} steps; {sizes}")
        self._began = self._shown = time.monotonic()
        self._first_step = run.step

    def on_step_end(self, run: RunView) -> None:
        """Tell losses and rate, seldom enough to cost nothing."""
        now = time.monotonic()
        if now - self._shown < SECONDS:
            return
        self._shown = now
        rate = f"{(run.step - self._first_step) / (now - self._began):.2f} steps/s"
        losses = "  ".join(
            f"{name.removeprefix('loss/')} {value:.3f}"
            for name, value in run.values.items()
            if name.startswith("loss/")
        )
        self.print(f"step {run.step}/{run.total_steps}  {rate}  {losses}")

    def on_evaluation_end(self, run: RunView) -> None:
        """Tell each participant's scores."""
        scores = "  ".join(
            f"{name.removeprefix('val/').replace('/', ' ')} {value:.3f}"
            for name, value in run.values.items()
            if name.startswith("val/")
        )
        self.print(f"step {run.step}/{run.total_steps}  epoch {run.epoch + 1}  {scores}")

    def on_exception(self, run: RunView, error: BaseException) -> None:  # noqa: ARG002 (the event has it)
        """Say how to go on."""
        if (run.folder / "checkpoints").exists() and not is_finished(run.folder):
            self.print(f"to go on from the last checkpoint: kdseg resume {display_path(run.folder)}")

    def print(self, text: str) -> None:
        """Print a line as it is."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def millions(network: object) -> str:
    """Give a network's parameters, in millions."""
    return f"{sum(p.numel() for p in network.parameters()) / 1e6:.3g}M"  # type: ignore[attr-defined]
