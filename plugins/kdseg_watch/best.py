"""Keeping the models of the best evaluations, and of every so many."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from kdseg.hooks import Hooks

if TYPE_CHECKING:
    from pathlib import Path

    from kdseg.hooks import RunView
    from kdseg_watch.scores import Judge


class KeepBest(Hooks):
    """Keeps the learners as they were at the best evaluations, of equal ones the earlier; and at every so many."""

    def __init__(self, judge: Judge, keep: int, every: int) -> None:
        self._judge, self._keep, self._every = judge, keep, every
        self._kept: dict[str, float] = {}  # values of the best by folder name, in the order of the steps
        self._regular: list[str] = []  # the folders of every so many
        self._evaluations = 0

    def on_run_start(self, run: RunView) -> None:
        """Take stock of the folder.

        A killed run may have gone on after the checkpoint that is resumed: it may have kept models that the checkpoint
        does not know, and dropped others for them.
        """
        there = {path.name: path for path in self._folder(run).glob("step-*")}
        if run.is_main:
            for name in there.keys() - self._kept.keys() - set(self._regular):
                shutil.rmtree(there[name])
        self._kept = {name: value for name, value in self._kept.items() if name in there}

    def on_evaluation_end(self, run: RunView) -> None:
        """Keep this evaluation's models where they are to be kept, and drop what they displace."""
        self._evaluations += 1
        name = f"step-{run.step:08d}"
        if self._every and self._evaluations % self._every == 0:
            self._regular.append(name)
        value = self._judge.value(run)
        values = self._kept if value is None else {**self._kept, name: value}
        best = sorted(values, key=lambda one: self._judge.gain(0.0, values[one]))[: self._keep]  # of equals the earlier
        if name in best or name in self._regular:
            run.keep_models(self._folder(run) / name)
        if run.is_main:
            for displaced in self._kept.keys() - set(best) - set(self._regular):
                shutil.rmtree(self._folder(run) / displaced)
        self._kept = {kept: value for kept, value in values.items() if kept in best}

    def state_dict(self) -> dict[str, Any]:
        """Give what is kept."""
        return {"kept": self._kept, "regular": self._regular, "evaluations": self._evaluations}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it up again."""
        self._kept = dict(state["kept"])
        self._regular = list(state.get("regular", []))
        self._evaluations = state.get("evaluations", 0)

    def _folder(self, run: RunView) -> Path:
        return run.folder / f"models-{self._judge.label}"
