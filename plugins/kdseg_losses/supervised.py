"""Losses on labels, pixel by pixel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import PixelLoss, full_precision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg.losses import LossCall, Prediction


class WeightedLoss(PixelLoss):
    """A mean over the valid pixels, each of which counts as much as its class weighs: w_y, 1 without weights."""

    weights: Tensor | None

    def __init__(self, weights: Sequence[float] | None) -> None:
        super().__init__()
        self.register_buffer("weights", None if weights is None else torch.tensor(weights, dtype=torch.float32))

    def count(self, target: Tensor) -> Tensor:
        """Give the sum of the class weights of the valid pixels: their number without weights."""
        if self.weights is None:
            return super().count(target)
        ignored = target == IGNORE_INDEX
        return self.weights[target.masked_fill(ignored, 0).long()].masked_fill(ignored, 0).sum(dtype=torch.float64)


class CrossEntropyLoss(WeightedLoss):
    """Cross-entropy, as `torch.nn.functional.cross_entropy` defines it with class weights w and label smoothing e.

    At a pixel of class y: (1 - e) w_y (-log p_y) + e / C * sum over c of w_c (-log p_c). The mean divides by the sum of
    w_y over the valid pixels.
    """

    def __init__(self, weights: Sequence[float] | None, label_smoothing: float) -> None:
        super().__init__(weights)
        self.label_smoothing = label_smoothing

    def pixel_map(self, learner: Tensor, source: Tensor | None, target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Give the cross-entropy of each pixel."""
        weights = None if self.weights is None else self.weights.to(learner.dtype)
        return F.cross_entropy(
            learner, target.long(), weight=weights, label_smoothing=self.label_smoothing, reduction="none"
        )


class FocalLoss(WeightedLoss):
    """Focal loss: w_y (1 - p_y)^g (-log p_y) at a pixel of class y.

    Lin et al. (1708.02002), equation 5, over the softmax of C classes where the paper has a sigmoid for each: their
    alpha is the class weight w_y. The mean divides by the sum of w_y over the valid pixels, so that g = 0 is
    cross-entropy; the paper, on boxes, divides by the number of those that hold an object.
    """

    def __init__(self, weights: Sequence[float] | None, gamma: float) -> None:
        super().__init__(weights)
        self.gamma = gamma

    def pixel_map(self, learner: Tensor, source: Tensor | None, target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Give the focal loss of each pixel."""
        surprise = F.cross_entropy(learner, target.long(), reduction="none")  # -log p_y
        missing = -torch.expm1(-surprise)  # 1 - p_y, without the rounding of p_y to 1
        missing = missing.clamp_min(torch.finfo(missing.dtype).tiny)  # at 0, a power below 1 has no finite gradient
        loss = missing**self.gamma * surprise
        return loss if self.weights is None else self.weights.to(loss.dtype)[target.long()] * loss


class OHEMCrossEntropyLoss(WeightedLoss):
    """Cross-entropy over the hard pixels of each image: online hard example mining.

    An image's hard pixels K are those with p_y < `threshold`, and at least the share `keep` of its valid pixels V, the
    hardest first (equally hard ones all together). Its loss is the weighted mean over them,
    sum over K of w_y (-log p_y) / sum over K of w_y, times the sum of w_y over V; the mean divides by that of the whole
    batch. So an image counts by its valid pixels, and with `keep` = 1 this is cross-entropy. A class of weight 0 is
    taken for ignored.

    Mining after Shrivastava et al. (1604.03540), who keep the regions of highest loss; with a threshold and a least
    number as Wu et al. (1605.06885) do it to pixels. The code of BiSeNet (0.7 and one pixel in 16, the defaults here)
    and of HRNet (0.9 and 131072 pixels) chooses among the pixels of a GPU's whole batch. Here each image chooses for
    itself, and by share, so that processes and micro-batches change nothing.
    """

    def __init__(self, weights: Sequence[float] | None, threshold: float, keep: float) -> None:
        super().__init__(weights)
        self.threshold = threshold
        self.keep = keep

    def forward(self, learner: Prediction, source: Prediction | None, target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Sum the images' losses, each times the weight of its valid pixels."""
        ignored = target == IGNORE_INDEX
        labels = target.masked_fill(ignored, 0).long()
        logits = full_precision(learner.logits).masked_fill(ignored.unsqueeze(1), 0)
        surprise = F.cross_entropy(logits, labels, reduction="none").flatten(1)
        weights = (
            torch.ones_like(surprise) if self.weights is None else self.weights.to(surprise.dtype)[labels.flatten(1)]
        )
        weights = weights.masked_fill(ignored.flatten(1), 0)
        hard = weights * self._hard(surprise.detach(), weights > 0)
        scale = weights.sum(1) / hard.sum(1).clamp_min(torch.finfo(hard.dtype).tiny)  # 0 / tiny without a valid pixel
        return ((hard * surprise).sum(1) * scale).sum()

    def _hard(self, surprise: Tensor, valid: Tensor) -> Tensor:
        """Give which pixels, N×P, are hard."""
        surprise = surprise.masked_fill(~valid, -math.inf)
        least = (self.keep * valid.sum(1, keepdim=True).double()).ceil().long().clamp_min(1)
        nth = surprise.sort(1, descending=True).values.gather(1, least - 1)
        return valid & ((surprise > -math.log(self.threshold)) | (surprise >= nth))


class MaxEntropyLoss(PixelLoss):
    """Minus the entropy of softmax(learner) where its likeliest class is not the label, and 0 elsewhere.

    sum over c of q_c log q_c at a wrong pixel, from -log C to 0; all valid pixels are counted, so the fewer are wrong,
    the smaller it is. A pixel whose label is among its likeliest classes is right. Dubey et al. (1809.05934) maximise
    the entropy of all samples, as Pereyra et al. (1701.06548) do; to take the wrong ones alone is a variant, in neither
    paper. It leaves the learner sure where it has reason to be.
    """

    def pixel_map(self, learner: Tensor, source: Tensor | None, target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Give minus the entropy of each wrong pixel."""
        log_q = F.log_softmax(learner, dim=1)
        right = learner.gather(1, target.long().unsqueeze(1)).squeeze(1) == learner.amax(1)
        return (log_q.exp() * log_q).sum(1).masked_fill(right, 0)
