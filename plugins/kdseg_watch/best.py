"""Keeping the models of the best evaluations."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from kdseg.hooks import Hooks
from kdseg_watch.scores import require_participant, score_of

if TYPE_CHECKING:
    from pathlib import Path

    from kdseg.hooks import RunView


class KeepBest(Hooks):
    """Keeps the learners as they were at the best evaluations; of equal ones the earlier."""

    def __init__(self, label: str, participant: str, metric: str, keep: int) -> None:
        self._label, self._participant, self._metric, self._keep = label, participant, metric, keep
        self._kept: dict[str, float] = {}  # scores by folder name, in the order of the steps

    def on_run_start(self, run: RunView) -> None:
        """See that the participant exists before hours are spent, and take stock of the folder.

        A killed run may have gone on after the checkpoint that is resumed: it may have kept models that the checkpoint
        does not know, and dropped others for them.
        """
        require_participant(run, self._label, self._participant)
        there = {path.name: path for path in self._folder(run).glob("step-*")}
        if run.is_main:
            for name in there.keys() - self._kept.keys():
                shutil.rmtree(there[name])
        self._kept = {name: score for name, score in self._kept.items() if name in there}

    def on_evaluation_end(self, run: RunView) -> None:
        """Keep this evaluation's models where it is among the best, and drop what it displaces."""
        score = score_of(run, self._participant, self._metric)
        name = f"step-{run.step:08d}"
        scores = {**self._kept, name: score}
        best = sorted(scores, key=scores.__getitem__, reverse=True)[: self._keep]  # stable: the earlier of equals
        if name not in best:
            return
        run.keep_models(self._folder(run) / name)
        if run.is_main:
            for displaced in self._kept.keys() - set(best):
                shutil.rmtree(self._folder(run) / displaced)
        self._kept = {kept: score for kept, score in scores.items() if kept in best}

    def state_dict(self) -> dict[str, Any]:
        """Give the scores of what is kept."""
        return {"kept": self._kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them up again."""
        self._kept = dict(state["kept"])

    def _folder(self, run: RunView) -> Path:
        return run.folder / f"models-{self._label}"
