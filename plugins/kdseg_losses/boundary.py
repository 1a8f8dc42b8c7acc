"""Divergence of softened classes in which pixels near a boundary of the labels count more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossModule, full_precision
from kdseg_losses.logit import forward_kl, soften

if TYPE_CHECKING:
    from torch import Tensor

    from kdseg.losses import LossCall, Prediction

_BELOW = -256.0
"""Less than every label and every label's negative."""


class BoundaryKLLoss(LossModule):
    """T^2 KL(softmax(source / T) || softmax(learner / T)), pixels near a boundary of the labels weighing more.

    A pixel weighs 1 + (`weight` - 1) s, s being the share of its area that lies near a boundary (`boundary_share`). The
    mean divides by the sum of the weights over the valid pixels. Hinton et al. (1503.02531) weighed in the manner of
    U-Net's border weights (Ronneberger et al., 1505.04597, equation 2), with one step in place of a Gaussian: all
    classes' boundaries, from labels that have no instances.
    """

    def __init__(self, temperature: float, radius: float, weight: float, *, standardise: bool = False) -> None:
        super().__init__()
        self.temperature = temperature
        self.radius = radius
        self.weight = weight
        self.standardise = standardise

    def count(self, target: Tensor) -> Tensor:
        """Give the sum of the weights of the valid pixels."""
        return self._weights(target).sum()

    def forward(self, learner: Prediction, source: Prediction | None, target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Sum the weighed divergences of the valid pixels."""
        assert source is not None  # a distillation loss has one
        hidden = (target == IGNORE_INDEX).unsqueeze(1)
        soft = [
            soften(full_precision(logits).masked_fill(hidden, 0), self.temperature, standardise=self.standardise)
            for logits in (learner.logits, source.logits.detach())
        ]
        divergence = forward_kl(*soft)
        return self.temperature**2 * (self._weights(target).to(divergence.dtype) * divergence).sum()

    def _weights(self, target: Tensor) -> Tensor:
        """Give the weight of each pixel, N×H×W in float64: 0 where it is ignored."""
        share = boundary_share(target, self.radius * target.shape[-2])
        return (1 + (self.weight - 1) * share).masked_fill(target == IGNORE_INDEX, 0)


def boundary_share(target: Tensor, radius: float) -> Tensor:
    """Give the share of each pixel's area that lies near a boundary, N×H×W in float64, 0 at ignored pixels.

    A point is near a boundary where the square of `radius` to each side of it touches pixels of two classes; an ignored
    pixel is of none. With a whole number r, all points of a pixel see the pixels of a window of 2 r + 1, and the share
    is 1 where the largest label in it is not the smallest. Between whole numbers, the points of a pixel see up to
    3 x 3 windows. So labels in which each pixel is repeated have the same shares at twice the radius.

    Args:
        target: N×H×W integers, `IGNORE_INDEX` where ignored.
        radius: in pixels.
    """
    ignored = target == IGNORE_INDEX
    labels = target.float()
    planes = torch.stack([labels.masked_fill(ignored, _BELOW), (-labels).masked_fill(ignored, _BELOW)], dim=1)
    windows = _windows(radius)
    share = torch.zeros_like(labels, dtype=torch.float64)
    for tall, above, below in windows:
        rows = _largest(planes, (0, 0, above, below))
        for wide, left, right in windows:
            edge = _largest(rows, (left, right, 0, 0)).sum(1) > 0  # the largest label minus the smallest
            share += tall * wide * edge.double()
    return share.masked_fill(ignored, 0)


def _windows(radius: float) -> list[tuple[float, int, int]]:
    """Give the windows that a pixel's points see along one axis: their share, the pixels before and those after."""
    radius = round(radius, 6)  # 0.1 of 30 rows is 3.0000000000000004
    whole = math.floor(radius)
    rest = radius - whole
    middle = whole + (rest > 0.5)  # noqa: PLR2004 (from there on the middle sees one more on either side)
    side = min(rest, 1 - rest)
    windows = [(side, whole + 1, whole), (1 - 2 * side, middle, middle), (side, whole, whole + 1)]
    return [window for window in windows if window[0] > 0]


def _largest(planes: Tensor, window: tuple[int, int, int, int]) -> Tensor:
    """Give the largest value in the window around each pixel: so many pixels to the left, right, above and below."""
    left, right, above, below = window
    return F.max_pool2d(F.pad(planes, window, value=_BELOW), (above + 1 + below, left + 1 + right), stride=1)
