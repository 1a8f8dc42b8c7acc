"""Divergence of softened classes at a temperature that is learned against the learner."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from kdseg.losses import PixelLoss
from kdseg_losses.logit import forward_kl, soften

if TYPE_CHECKING:
    from torch import Tensor

    from kdseg.losses import LossCall


class CurriculumKLLoss(PixelLoss):
    """T^2 KL(softmax(source / T) || softmax(learner / T)) at each pixel, with T a parameter that makes it larger.

    Li et al., "Curriculum Temperature for Knowledge Distillation" (CTKD, 2211.16231), with one temperature for all
    pixels: T = lowest + (highest - lowest) sigmoid(theta). Theta learns with the learner's optimizer, but its gradient
    is reversed and multiplied by a strength that rises over the first share `ramp` of the run, from 0 to 1:
    (1 - cos(pi min(progress / ramp, 1))) / 2. So the learner makes the loss smaller, and the temperature makes it
    larger, T^2 included. Bounds of 1 and 21, one optimizer for both and the T^2 are as in their code.
    """

    def __init__(self, start: float, lowest: float, highest: float, ramp: float, *, standardise: bool = False) -> None:
        super().__init__()
        self.lowest, self.highest, self.ramp, self.standardise = lowest, highest, ramp, standardise
        share = (start - lowest) / (highest - lowest)
        self.theta = nn.Parameter(torch.tensor(math.log(share / (1 - share))))

    def strength(self, progress: float) -> float:
        """Give how much of its gradient the temperature feels, 0 to 1."""
        return 1.0 if progress >= self.ramp else (1 - math.cos(math.pi * progress / self.ramp)) / 2

    def temperature(self, progress: float) -> Tensor:
        """Give T; what flows back through it is reversed."""
        theta = self.theta.detach()
        theta = theta - self.strength(progress) * (self.theta - theta)  # the same value
        return self.lowest + (self.highest - self.lowest) * theta.sigmoid()

    def pixel_map(self, learner: Tensor, source: Tensor | None, target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Give T^2 times the divergence of each pixel."""
        assert source is not None  # a distillation loss has one
        temperature = self.temperature(call.progress).to(learner.dtype)
        learner, source = (soften(logits, temperature, standardise=self.standardise) for logits in (learner, source))
        return temperature.square() * forward_kl(learner, source)
