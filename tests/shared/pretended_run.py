"""A run that only pretends, for callbacks that need no networks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from kdseg.components import CallbackContext

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kdseg.components import Callback
    from kdseg.hooks import Hooks

TAPS = {"teacher": (), "student": ()}
SCORES = st.lists(st.sampled_from([i / 8 for i in range(9)]), max_size=12)  # eighths: ties, and exact differences


@dataclass
class FakeRun:
    """A `kdseg.RunView` with as many networks as it needs: none."""

    folder: Path
    step: int = 0
    total_steps: int = 1000
    epoch: int = 0
    participants: Mapping[str, Any] = field(default_factory=lambda: {"teacher": None, "student": None})
    values: dict[str, float] = field(default_factory=dict)
    batch: Any = None
    classes: Any = None
    is_main: bool = True
    stopped: str | None = None

    @property
    def pictures(self) -> Path:
        return self.folder / "pictures"

    def record(self, name: str, value: float) -> None:
        self.values[name] = value

    def predict(self, participant: str, images: Any) -> Any:
        raise NotImplementedError

    def keep_models(self, folder: Path) -> None:
        if self.is_main:
            (folder / "student").mkdir(parents=True)
            (folder / "student" / "step").write_text(str(self.step))

    def stop(self, reason: str) -> None:
        self.stopped = reason

    def evaluated(self, hooks: Hooks, number: int, score: float) -> None:
        """Take ten steps, be evaluated for the `number`th time, tell the callback."""
        self.step = 10 * (number + 1)
        self.values = {"val/student/miou": score, "val/teacher/miou": 1 - score, "val/student/pixel_accuracy": 0.5}
        hooks.on_evaluation_end(self)

    def kept(self, label: str = "mine") -> dict[str, str]:
        """Give the folders on the disk, each with the step whose models it holds."""
        return {
            path.name: (path / "student" / "step").read_text() for path in (self.folder / f"models-{label}").glob("*")
        }


def built(callback: Callback, metric: str = "miou") -> Hooks:
    return callback.build(CallbackContext(label="mine", metric=metric, scores=("miou", "pixel_accuracy"), taps=TAPS))


def resumed(callback: Callback, hooks: Hooks, run: FakeRun) -> Hooks:
    """Give the callback of a new process that takes up what the old one's checkpoint holds."""
    state = json.loads(json.dumps(hooks.state_dict()))
    fresh = built(callback)
    fresh.load_state_dict(state)
    fresh.on_run_start(run)
    return fresh


def names_of_best(scores: Sequence[float], keep: int) -> dict[str, str]:
    """Give the evaluations that fewer than `keep` others precede: by a higher score, or by an equal one before them."""
    steps = [
        10 * (i + 1)
        for i, score in enumerate(scores)
        if sum(s > score or (s == score and j < i) for j, s in enumerate(scores)) < keep
    ]
    return {f"step-{step:08d}": str(step) for step in steps}
