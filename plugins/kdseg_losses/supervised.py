"""Losses on labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import PixelLoss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg.losses import LossCall


class CrossEntropyLoss(PixelLoss):
    """Cross-entropy, as `torch.nn.functional.cross_entropy` defines it with class weights w and label smoothing e.

    At a pixel of class y: (1 - e) w_y (-log p_y) + e / C * sum over c of w_c (-log p_c). The mean divides by the sum of
    w_y over the valid pixels.
    """

    weights: Tensor | None

    def __init__(self, weights: Sequence[float] | None, label_smoothing: float) -> None:
        super().__init__()
        self.register_buffer("weights", None if weights is None else torch.tensor(weights, dtype=torch.float32))
        self.label_smoothing = label_smoothing

    def count(self, target: Tensor) -> Tensor:
        """Give the sum of the class weights of the valid pixels: their number without weights."""
        if self.weights is None:
            return super().count(target)
        ignored = target == IGNORE_INDEX
        return self.weights[target.masked_fill(ignored, 0).long()].masked_fill(ignored, 0).sum(dtype=torch.float64)

    def pixel_map(self, learner: Tensor, source: Tensor | None, target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Give the cross-entropy of each pixel."""
        weights = None if self.weights is None else self.weights.to(learner.dtype)
        return F.cross_entropy(
            learner, target.long(), weight=weights, label_smoothing=self.label_smoothing, reduction="none"
        )
