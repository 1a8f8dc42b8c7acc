"""Distances between features: as they are, as maps of attention, and standardised."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from kdseg_losses.features import FeatureLoss

if TYPE_CHECKING:
    from kdseg.losses import LossCall


class FitNetLoss(FeatureLoss):
    """Half the squared distance between features: 1 / (2C) sum over the C channels of (r(F_S) - F_T)^2, at each cell.

    Romero et al. (1412.6550), equation 3, with the source's middle layer as the hint; r is the projector of
    `FeatureLoss`, where they have a convolution whose kernel makes the sizes alike. They add up over channels and
    cells; the mean here makes a weight mean the same at any stage and any size of images.
    """

    def pair_loss(self, learner: Tensor, source: Tensor, valid: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Sum over the cells."""
        return (learner - source).square().sum() / (2 * source.shape[1])


class AttentionTransferLoss(FeatureLoss):
    """Squared distance between the maps of attention of an image: sum over cells of (Q_S / |Q_S| - Q_T / |Q_T|)^2.

    Q = sum over channels of F^2 at each cell, |Q| the root of the sum of its squares over the image's valid cells.
    Zagoruyko and Komodakis (1612.03928), equation 2 with their p = 2 and maps of F_sum^2; the term's weight is their
    beta / 2. Their norm of the difference is squared here, as in their code: where both maps are alike, the norm itself
    has no gradient. It is a sum over cells as in the paper, from 0 to 2 at any size; their code's mean over cells
    shrinks as these grow in number, hence its weights of 1000 and more. Maps keep their shape. A map of zeros has no
    direction and stays as it is: its loss is 1, without a gradient.
    """

    per: ClassVar[Literal["image"]] = "image"
    projects: ClassVar[bool] = False

    def pair_loss(self, learner: Tensor, source: Tensor, valid: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Sum over the images."""
        return (_attention(learner) - _attention(source)).square().sum()


class PearsonLoss(FeatureLoss):
    """1 - Pearson's correlation of learner and source: of each channel over all valid cells of a micro-batch, the mean.

    Cao et al. (PKD, 2207.02039): half the mean squared difference of features that are standardised to
    mean 0 and variance 1, which is 1 - r. A channel that is constant, to rounding, has no r: it is 0 when standardised,
    so that a constant channel adds 1/2 beside one that varies, 0 beside another constant one, and no gradient. The code
    of the authors adds 1e-6 to the deviation instead, which makes the rounding of a constant channel count as much as a
    signal.
    """

    per: ClassVar[Literal["batch"]] = "batch"

    def pair_loss(self, learner: Tensor, source: Tensor, valid: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Give the mean over channels."""
        cells = valid.sum().clamp_min(1)
        difference = _standardised(learner, valid, cells) - _standardised(source, valid, cells)
        return difference.square().sum() / (2 * cells * source.shape[1])


def _attention(features: Tensor) -> Tensor:
    """Give maps N×P of length 1; of length 0 where an image's features are 0."""
    maps = features.square().sum(1).flatten(1)
    largest = maps.detach().amax(1, keepdim=True)
    maps = maps / largest.masked_fill(largest < torch.finfo(maps.dtype).tiny, 1)  # squares that neither vanish nor end
    return maps / maps.square().sum(1, keepdim=True).clamp_min(1).sqrt()  # 1 or more but for a map of zeros


def _standardised(features: Tensor, valid: Tensor, cells: Tensor) -> Tensor:
    """Give each channel with mean 0 and variance 1 over the valid cells; 0 where it is constant, and elsewhere."""
    over = (0, 2, 3)
    mean = features.sum(over, keepdim=True) / cells
    centred = (features - mean).masked_fill(~valid.unsqueeze(1), 0)
    variance = centred.square().sum(over, keepdim=True) / cells
    rounding = 16 * torch.finfo(features.dtype).eps
    constant = variance <= rounding**2 * mean.square()
    return centred * variance.masked_fill(constant, 1).rsqrt().masked_fill(constant, 0)
