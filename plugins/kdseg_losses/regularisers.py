"""Losses on the learner's prediction alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F

from kdseg.losses import PixelLoss

if TYPE_CHECKING:
    from torch import Tensor

    from kdseg.losses import LossCall


class ConfidencePenaltyLoss(PixelLoss):
    """Minus the entropy of softmax(learner) at each pixel: sum over c of p_c log p_c, from -log C to 0.

    Pereyra et al. (1701.06548), equation 3; the recipe's weight of the term is their beta.
    """

    def pixel_map(self, learner: Tensor, source: Tensor | None, target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Give minus the entropy of each pixel."""
        log_probabilities = F.log_softmax(learner, dim=1)
        return (log_probabilities.exp() * log_probabilities).sum(dim=1)
