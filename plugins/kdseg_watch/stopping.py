"""Ending a run that no longer gains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdseg.hooks import Hooks
from kdseg_watch.scores import require_participant, score_of

if TYPE_CHECKING:
    from kdseg.hooks import RunView


class StopEarly(Hooks):
    """Counts evaluations without a rise."""

    def __init__(self, label: str, participant: str, metric: str, patience: int, min_rise: float) -> None:
        self._label, self._participant, self._metric = label, participant, metric
        self._patience, self._min_rise = patience, min_rise
        self._best: float | None = None
        self._waited = 0

    def on_run_start(self, run: RunView) -> None:
        """See that the participant exists before hours are spent."""
        require_participant(run, self._label, self._participant)

    def on_evaluation_end(self, run: RunView) -> None:
        """End the run after enough evaluations without a rise."""
        score = score_of(run, self._participant, self._metric)
        if self._best is None or score > self._best + self._min_rise:
            self._best, self._waited = score, 0
            return
        self._waited += 1
        if self._waited >= self._patience:
            run.stop(
                f"{self._participant} {self._metric} has not risen above {self._best:.4f} "
                f"for {self._waited} evaluations"
            )

    def state_dict(self) -> dict[str, Any]:
        """Give the best score and how long it stands."""
        return {"best": self._best, "waited": self._waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them up again."""
        self._best, self._waited = state["best"], state["waited"]
