"""Losses on a source's logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from kdseg.losses import PixelLoss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from kdseg.losses import FusedLoss, LossCall, LossModule

_CPU = torch.device("cpu")


class PixelKLLoss(PixelLoss):
    """T^2 KL(softmax(source / T) || softmax(learner / T)) at each pixel.

    Hinton et al. (1503.02531): T^2 keeps the gradient's size as T grows. KL and their cross-entropy differ by the
    source's entropy, which has no gradient.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def pixel_map(self, learner: Tensor, source: Tensor | None, target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Give the divergence of each pixel."""
        assert source is not None  # a distillation loss has one
        wanted = F.log_softmax(source / self.temperature, dim=1)
        found = F.log_softmax(learner / self.temperature, dim=1)
        return self.temperature**2 * F.kl_div(found, wanted, log_target=True, reduction="none").sum(dim=1)

    def fuse(self, others: Sequence[LossModule], *, compiled: bool, device: torch.device = _CPU) -> FusedLoss | None:
        """Offer one pass over the logits for this loss, with a cross_entropy if the others hold one."""
        from kdseg_losses.fused import fuse_pixels

        return fuse_pixels(self, others, device=device, compiled=compiled)
