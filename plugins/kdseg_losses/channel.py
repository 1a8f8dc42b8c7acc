"""Channel-wise distillation: where in the image each channel is strong, of logits and of features."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossModule, full_precision
from kdseg_losses.features import FeatureLoss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg.components import LossContext
    from kdseg.losses import FusedLoss, LossCall, Prediction


class ChannelWiseLoss(LossModule):
    """Divergence of the learner's logits from the source's over the valid pixels of each channel: of each image.

    T^2 / C sum over the C channels of KL(phi_T || phi_S), phi being the softmax of a channel / T over the image's valid
    pixels. Shu et al. (2011.13256); the mean over images divides by the number of those with a valid
    pixel. Ignored pixels take no share of any phi: masked after the softmax, as elsewhere, they would still lower all
    others.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def count(self, target: Tensor) -> Tensor:
        """Give the number of images with a valid pixel."""
        return (target != IGNORE_INDEX).flatten(1).any(1).sum()

    def forward(self, learner: Prediction, source: Prediction | None, target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Sum the divergences of the images."""
        assert source is not None  # a distillation loss has one
        valid = target != IGNORE_INDEX
        found, wanted = full_precision(learner.logits), full_precision(source.logits).detach()
        return channel_divergence(found, wanted, valid, self.temperature).sum()

    def fuse(self, others: Sequence[LossModule], *, device: torch.device, compiled: bool) -> FusedLoss | None:  # noqa: ARG002 (alone)
        """Offer itself in passes that keep the gradient alone."""
        from kdseg_losses.fused_channel import fuse_channels

        return fuse_channels(self, device=device, compiled=compiled)


class ChannelWiseFeatureLoss(FeatureLoss):
    """`ChannelWiseLoss` between taps: over the valid cells of each channel, of the learner's as projected."""

    per: ClassVar[Literal["image"]] = "image"

    def __init__(self, pairs: Sequence[tuple[str, str]], ctx: LossContext, temperature: float) -> None:
        super().__init__(pairs, ctx)
        self.temperature = temperature

    def pair_loss(self, learner: Tensor, source: Tensor, valid: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Sum the divergences of the images."""
        return channel_divergence(learner, source, valid, self.temperature).sum()


def channel_divergence(learner: Tensor, source: Tensor, valid: Tensor, temperature: float) -> Tensor:
    """Give T^2 / C sum over channels of KL(phi_T || phi_S) of each image, N; 0 for one without a valid place.

    Args:
        learner: N×C×H×W in float32 or float64; what stands at invalid places is not read.
        source: likewise, detached.
        valid: N×H×W, which places phi is a distribution over.
        temperature: T.
    """
    hidden = ~valid.flatten(1).unsqueeze(1)
    lowest = torch.finfo(learner.dtype).min  # its exponential is 0; with -inf, an image without valid places is NaN
    found, wanted = (
        F.log_softmax((values.flatten(2) / temperature).masked_fill(hidden, lowest), dim=2)
        for values in (learner, source)
    )
    divergence = F.kl_div(found, wanted, log_target=True, reduction="none")
    return temperature**2 * divergence.sum(2).mean(1)
