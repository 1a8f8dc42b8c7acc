"""Divergence of softened classes in which pixels count by how right, or how sure, the source and the learner are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F

from kdseg_losses.logit import SoftenedLoss, forward_kl

if TYPE_CHECKING:
    from torch import Tensor

    from kdseg.losses import LossCall

_EPSILON = 1e-7


class GatedKLLoss(SoftenedLoss):
    """T^2 KL(softmax(source / T) || softmax(learner / T)) where the source can be trusted, 0 elsewhere.

    - right: the source's largest logit is the label's; where others equal it, it still counts as right.
    - sure: the source's largest probability, at T = 1 and not standardised, is `threshold` or more.

    All valid pixels are counted, so the fewer pass, the smaller the loss. Hinton et al. (1503.02531), gated by
    correctness as Meng et al. ("Conditional teacher-student learning", 1904.12399) choose between source and label, or
    by confidence as FixMatch does (Sohn et al., 2001.07685, equation 4) for pseudo-labels.
    """

    def __init__(
        self,
        temperature: float,
        gate: Literal["right", "sure"],
        threshold: float | None = None,
        *,
        standardise: bool = False,
    ) -> None:
        super().__init__(temperature, standardise=standardise)
        self.gate = gate
        self.threshold = threshold

    def pixel_map(self, learner: Tensor, source: Tensor | None, target: Tensor, call: LossCall) -> Tensor:
        """Give the divergence of each pixel that passes."""
        assert source is not None  # a distillation loss has one
        if self.gate == "right":
            passes = source.gather(1, target.long().unsqueeze(1)).squeeze(1) == source.amax(1)
        else:
            assert self.threshold is not None  # the component sees to it
            passes = source.softmax(1).amax(1) >= self.threshold
        return super().pixel_map(learner, source, target, call).masked_fill(~passes, 0)

    def divergence(self, learner: Tensor, source: Tensor, target: Tensor) -> Tensor:  # noqa: ARG002
        """Give the divergence of each pixel."""
        return forward_kl(learner, source)


class WeightedSoftLabelsLoss(SoftenedLoss):
    """w T^2 KL(softmax(source / T) || softmax(learner / T)) with w = 1 - exp(-CE_learner / CE_source) at each pixel.

    Zhou et al. (2102.00650): the soft labels count less the better the learner is than its source. Both
    cross-entropies are with the label, at T = 1 and not standardised; w is taken for constant. As in their code, 1e-7
    is added to CE_source. Here the divergence stands for their soft cross-entropy: the gradient is the same, since the
    source's entropy has none, and equal predictions give 0. Their loss adds the cross-entropy with the labels; that is
    a term of its own in a recipe, and their alpha (2.5 on ImageNet) is this term's weight.
    """

    def pixel_map(self, learner: Tensor, source: Tensor | None, target: Tensor, call: LossCall) -> Tensor:
        """Give the weighed divergence of each pixel."""
        assert source is not None  # a distillation loss has one
        mine, its = (F.cross_entropy(logits, target.long(), reduction="none") for logits in (learner.detach(), source))
        weight = -torch.expm1(-mine / (its + _EPSILON))
        return weight * super().pixel_map(learner, source, target, call)

    def divergence(self, learner: Tensor, source: Tensor, target: Tensor) -> Tensor:  # noqa: ARG002
        """Give the divergence of each pixel."""
        return forward_kl(learner, source)
