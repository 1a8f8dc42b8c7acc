"""A run on a terminal: one table that is drawn anew where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.live import Live

from kdseg.engine.run.plain_lines import PlainLines
from kdseg.engine.run.run_table import RunTable

if TYPE_CHECKING:
    from rich.console import Console

    from kdseg.hooks import RunView

REDRAWN = 2.0
"""Times a second: often enough for a person, too seldom to cost a step anything."""


class LiveTable(PlainLines):
    """Shows a run's participants in a table, and each evaluation as a line above it."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._live: Live | None = None
        self._table: RunTable | None = None
        self._width = 0

    def on_run_start(self, run: RunView) -> None:
        """Begin the table."""
        super().on_run_start(run)
        self._table = RunTable(run)  # type: ignore[arg-type] # what shows a run is handed the run itself
        self._show()

    def on_step_end(self, run: RunView) -> None:  # noqa: ARG002 (every event has it)
        """Take the step's values; the table draws itself."""
        assert self._table is not None
        self._table.take_step()
        if self.console.width != self._width:
            self._after_resize()

    def on_evaluation_end(self, run: RunView) -> None:
        """Take the scores, and leave them as a line."""
        assert self._table is not None
        self._table.take_scores()
        scores = "  ".join(f"{name} {score:.3f}" for name, score in self._table.scores())
        self.print(f"step {run.step}/{run.total_steps}  {self._table.metric}  {scores}")

    def on_run_end(self, run: RunView) -> None:  # noqa: ARG002 (every event has it)
        """Clear the table."""
        self._hide()

    def on_exception(self, run: RunView, error: BaseException) -> None:
        """Leave the terminal as it was, and say how to go on."""
        self._hide()
        super().on_exception(run, error)

    def _show(self) -> None:
        assert self._table is not None
        self._width = self.console.width
        self._live = Live(self._table, console=self.console, refresh_per_second=REDRAWN, transient=True)
        self._live.start()

    def _hide(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _after_resize(self) -> None:
        """Begin on a clear screen: the terminal has broken the table's old lines elsewhere, nobody knows where."""
        self._hide()
        self.console.clear()
        self._show()


def progress_on(console: Console) -> PlainLines:
    """Give what shows a run on a console: a table on a terminal, lines elsewhere."""
    return LiveTable(console) if console.is_terminal else PlainLines(console)
