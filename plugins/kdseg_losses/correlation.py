"""Correlation of softened classes: what is alike up to scale and shift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossModule, full_precision
from kdseg_losses.logit import soften

if TYPE_CHECKING:
    from torch import Tensor

    from kdseg.losses import LossCall, Prediction

_ROUNDING = 8
"""Softmax's own error, in units of the last place: what varies by less is constant."""
_ABSENT = 1e-30
"""A class whose probability varies by less is constant too: the inverse must stay finite."""


class DISTLoss(LossModule):
    """T^2 (beta inter + gamma intra) of a micro-batch, for p = softmax(source / T) and q = softmax(learner / T).

    Huang et al. (2205.10536): inter = 1 - r(p, q) over the classes of a pixel, a mean over the valid
    pixels; intra = 1 - r(p, q) over all valid pixels of the micro-batch, a mean over the classes; r is Pearson's
    correlation. As in their code for segmentation, the pixels of all images are one population; T^2 as in their code
    for classification.

    1 - r is taken as half the squared distance of the two vectors, each centred and of length 1, which is exactly 0
    between equals; their code divides by both lengths plus 1e-8. A constant vector has no correlation: it is taken as
    0 here, so 1 - r is 0 between two constants and 1/2 between a constant and another.
    """

    def __init__(self, temperature: float, beta: float, gamma: float, *, standardise: bool = False) -> None:
        super().__init__()
        self.temperature = temperature
        self.beta = beta
        self.gamma = gamma
        self.standardise = standardise

    def forward(self, learner: Prediction, source: Prediction | None, target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Give the loss of the micro-batch."""
        assert source is not None  # a distillation loss has one
        valid = (target != IGNORE_INDEX).unsqueeze(1)
        found, wanted = (
            soften(
                full_precision(logits).masked_fill(~valid, 0), self.temperature, standardise=self.standardise
            ).softmax(1)
            for logits in (learner.logits, source.logits.detach())
        )
        inter = _distances(found, wanted, valid, (1,)).sum() / valid.sum().clamp_min(1)
        intra = _distances(found, wanted, valid, (0, 2, 3)).mean()
        return self.temperature**2 * (self.beta * inter + self.gamma * intra)


def _distances(one: Tensor, other: Tensor, valid: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Give 1 - r along `dims`, which stay with size 1; 0 where nothing is valid."""
    return (_unit(one, valid, dims) - _unit(other, valid, dims)).square().sum(dims, keepdim=True) / 2


def _unit(values: Tensor, valid: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Give the valid values centred and scaled to length 1 along `dims`; constant ones, and others, as 0."""
    top = values.detach().masked_fill(~valid, 0).amax(dims, keepdim=True)
    shifted = (values - top).masked_fill(~valid, 0)  # equal ones become 0, and their mean exactly so
    mean = shifted.sum(dims, keepdim=True) / valid.expand_as(values).sum(dims, keepdim=True).clamp_min(1)
    centred = (shifted - mean).masked_fill(~valid, 0)
    spread = centred.detach().abs().amax(dims, keepdim=True)
    constant = spread <= _ROUNDING * torch.finfo(values.dtype).eps * top + _ABSENT
    scaled = centred / spread.masked_fill(constant, 1)  # squares of what is left neither vanish nor overflow
    return scaled / scaled.square().sum(dims, keepdim=True).masked_fill(constant, 1).sqrt()
