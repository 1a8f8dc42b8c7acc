"""Losses on a source's logits: what they share, and the divergence of softened classes at each pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F

from kdseg.losses import PixelLoss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from kdseg.losses import FusedLoss, LossCall, LossModule
_FLAT = 1e-7**2


def soften(logits: Tensor, temperature: float | Tensor, *, standardise: bool) -> Tensor:
    """Divide logits N×C×H×W by the temperature; z-score them over the classes of each pixel before, where asked.

    Sun et al. (2403.01427), algorithm 1: (z - mean) / (T standard deviation), the deviation with 1 / C. Their code has
    1 / (C - 1) and adds 1e-7 to the deviation. Here nothing is added, and a deviation of 1e-7 or less is taken for 1: a
    pixel whose logits are all equal has scores of 0 and a finite gradient.
    """
    if standardise:
        logits = logits - logits.detach().amax(1, keepdim=True)  # equal ones become 0, and their mean exactly so
        logits = logits - logits.mean(1, keepdim=True)
        variance = logits.square().mean(1, keepdim=True)
        logits = logits / variance.masked_fill(variance <= _FLAT, 1).sqrt()
    return logits / temperature


def forward_kl(learner: Tensor, source: Tensor) -> Tensor:
    """Give KL(softmax(source) || softmax(learner)) at each pixel, N×H×W, of softened logits."""
    found, wanted = F.log_softmax(learner, dim=1), F.log_softmax(source, dim=1)
    return F.kl_div(found, wanted, log_target=True, reduction="none").sum(dim=1)


class SoftenedLoss(PixelLoss):
    """A loss per pixel between logits that are softened: T^2 times the `divergence`.

    Hinton et al. (1503.02531): T^2 keeps the gradient's size as T grows.
    """

    def __init__(self, temperature: float, *, standardise: bool = False) -> None:
        super().__init__()
        self.temperature = temperature
        self.standardise = standardise

    def pixel_map(self, learner: Tensor, source: Tensor | None, target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Give T^2 times the divergence of each pixel."""
        assert source is not None  # a distillation loss has one
        learner, source = (
            soften(logits, self.temperature, standardise=self.standardise) for logits in (learner, source)
        )
        return self.temperature**2 * self.divergence(learner, source, target)

    def divergence(self, learner: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Give the loss of each pixel, N×H×W, from softened logits; labels are 0 at ignored pixels."""
        raise NotImplementedError


class PixelKLLoss(SoftenedLoss):
    """T^2 times the divergence of p = softmax(source / T) and q = softmax(learner / T) at each pixel.

    - forward: KL(p || q) = sum over c of p_c log(p_c / q_c), Hinton et al. (1503.02531). It and their cross-entropy
      differ by the source's entropy, which has no gradient. The learner must cover all that the source holds possible.
    - reverse: KL(q || p). The learner may settle on one of the classes that the source holds possible.
    - jensen_shannon: KL(p || m) / 2 + KL(q || m) / 2 with m = (p + q) / 2, from 0 to log 2, so that no pixel outweighs
      the others (Lin, "Divergence measures based on the Shannon entropy", 1991).
    """

    def __init__(
        self,
        temperature: float,
        direction: Literal["forward", "reverse", "jensen_shannon"] = "forward",
        *,
        standardise: bool = False,
    ) -> None:
        super().__init__(temperature, standardise=standardise)
        self.direction = direction

    def divergence(self, learner: Tensor, source: Tensor, target: Tensor) -> Tensor:  # noqa: ARG002
        """Give the divergence in the direction asked for."""
        if self.direction == "forward":
            return forward_kl(learner, source)
        if self.direction == "reverse":
            return forward_kl(source, learner)
        return _jensen_shannon(learner, source)

    def fuse(self, others: Sequence[LossModule], *, device: torch.device, compiled: bool) -> FusedLoss | None:
        """Offer one pass over the logits for the forward direction, with a cross_entropy if the others hold one."""
        from kdseg_losses.fused import fuse_pixels

        return fuse_pixels(self, others, device=device, compiled=compiled)


def _jensen_shannon(learner: Tensor, source: Tensor) -> Tensor:
    """Give the divergence of each pixel, exactly 0 between equals.

    With d = log(q / p), log(p / m) = -max(d, 0) - h and log(q / m) = -max(-d, 0) - h, h = log((1 + exp(-|d|)) / 2).
    The gradient is that of q alone, log(q / m) / 2: the logarithms' own adds up to that of (sum of q) / 2, a constant.
    """
    found, wanted = F.log_softmax(learner, dim=1), F.log_softmax(source, dim=1)
    gap = (found - wanted).detach()
    half = torch.log1p(torch.expm1(-gap.abs()) / 2)
    return -(wanted.exp() * (gap.clamp_min(0) + half) + found.exp() * ((-gap).clamp_min(0) + half)).sum(1) / 2
