"""Ending a run that no longer gains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdseg.hooks import Hooks

if TYPE_CHECKING:
    from kdseg.hooks import RunView
    from kdseg_watch.scores import Judge


class StopEarly(Hooks):
    """Counts evaluations without a gain."""

    def __init__(self, judge: Judge, patience: int, min_rise: float) -> None:
        self._judge, self._patience, self._min_rise = judge, patience, min_rise
        self._best: float | None = None
        self._waited = 0

    def on_evaluation_end(self, run: RunView) -> None:
        """End the run after enough evaluations without a gain."""
        value = self._judge.value(run)
        if value is None:
            return
        if self._best is None or self._judge.gain(value, self._best) > self._min_rise:
            self._best, self._waited = value, 0
            return
        self._waited += 1
        if self._waited >= self._patience:
            moved = "fallen below" if self._judge.lower else "risen above"
            run.stop(f"{self._judge} has not {moved} {self._best:.4f} for {self._waited} evaluations")

    def state_dict(self) -> dict[str, Any]:
        """Give the best value and how long it stands."""
        return {"best": self._best, "waited": self._waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them up again."""
        self._best, self._waited = state["best"], state["waited"]
