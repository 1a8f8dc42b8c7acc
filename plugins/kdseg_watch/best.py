"""Keeping the models of the best evaluations."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from kdseg.hooks import Hooks
from kdseg_watch.scores import require_participant, score_of

if TYPE_CHECKING:
    from kdseg.hooks import RunView


class KeepBest(Hooks):
    """Keeps the learners as they were at the best evaluations."""

    def __init__(self, participant: str, metric: str, keep: int, folder: str) -> None:
        self._participant, self._metric = participant, metric
        self._keep, self._folder = keep, folder
        self._kept: dict[str, float] = {}

    def on_run_start(self, run: RunView) -> None:
        """See that the participant exists before hours are spent."""
        require_participant(run, self._participant)

    def on_evaluation_end(self, run: RunView) -> None:
        """Keep this evaluation's models where it is among the best, and drop what it displaces."""
        name = f"step-{run.step:08d}"
        self._kept[name] = score_of(run, self._participant, self._metric)
        ranking = sorted(self._kept, key=self._kept.__getitem__, reverse=True)
        if name in ranking[: self._keep]:
            run.keep_models(run.folder / self._folder / name)
        for displaced in ranking[self._keep :]:
            del self._kept[displaced]
            if run.is_main:
                shutil.rmtree(run.folder / self._folder / displaced, ignore_errors=True)

    def state_dict(self) -> dict[str, Any]:
        """Give the scores of what is kept."""
        return {"kept": self._kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them up again."""
        self._kept = dict(state["kept"])
