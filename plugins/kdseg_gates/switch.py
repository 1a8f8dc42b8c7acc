"""SwitOKD's adaptive switch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from kdseg.data.samples import IGNORE_INDEX
from kdseg.gates import TurnGate
from kdseg.losses import full_precision

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from kdseg.losses import Prediction


class AdaptiveSwitch(TurnGate):
    """Lets the teacher pause while the gap between both is above a threshold that follows how far each has come.

    Qian et al., "Switchable Online Knowledge Distillation" (2209.04996), all at temperature 1.
    """

    def __init__(self, student: str, teacher: str, both: str, student_alone: str) -> None:
        self.participants: Sequence[str] = (student, teacher)
        self._both, self._student_alone = both, student_alone
        self._numbers: dict[str, float] = {}
        self._pauses = False

    def turn(self) -> str:
        """Give the turn."""
        return self._student_alone if self._pauses else self._both

    def measure(self, predictions: Mapping[str, Prediction], target: Tensor) -> Tensor:
        """Give sums over the labelled pixels of |p_s - p_t|, |p_s - y| and |p_t - y|, and their number."""
        valid = target != IGNORE_INDEX
        labels = target.masked_fill(~valid, 0).unsqueeze(1)
        student, teacher = (full_precision(predictions[name].logits).softmax(1) for name in self.participants)
        gap = (student - teacher).abs().sum(1)
        behind = [2 * (1 - p.gather(1, labels).squeeze(1)) for p in (student, teacher)]  # |p - y|_1 = 2 (1 - p_y)
        sums = [values.masked_fill(~valid, 0).sum(dtype=torch.float64) for values in (gap, *behind)]
        return torch.stack([*sums, valid.sum().double()])

    def update(self, sums: Sequence[float], values: Mapping[str, float]) -> None:  # noqa: ARG002 (it reads no term)
        """Decide by a step; one without labelled pixels changes nothing."""
        *totals, pixels = sums
        if not pixels:
            return
        gap, student, teacher = (total / pixels for total in totals)
        threshold = student - math.exp(-teacher / (student + teacher)) * teacher if student + teacher else 0.0
        self._pauses = gap > threshold and teacher < student
        self._numbers = {"gap": gap, "threshold": threshold, "student": student, "teacher": teacher}

    def numbers(self) -> Mapping[str, float]:
        """Give what it last decided by."""
        return self._numbers

    def state_dict(self) -> dict[str, Any]:
        """Give what it decided."""
        return {"pauses": self._pauses, "numbers": self._numbers}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore it."""
        self._pauses, self._numbers = bool(state["pauses"]), dict(state["numbers"])
