"""Decoupled distillation: the label's class against the rest, and the rest among themselves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch.nn.functional as F

from kdseg_losses.logit import SoftenedLoss

if TYPE_CHECKING:
    from torch import Tensor


class DecoupledLoss(SoftenedLoss):
    """T^2 (alpha KL(b || b') + beta KL(r || r')) at each pixel, of the source (b, r) and the learner (b', r').

    Zhao et al. (2203.08679), equation 7, with a pixel's label y where they have an image's: b = (p_y, 1 - p_y) with
    p = softmax(logits / T), and r is the softmax over the other classes alone. KL(p || p') is the first plus (1 - p_y)
    times the second. Their code takes 1000 from the label's logit to leave it out of r; here it is left out.
    """

    def __init__(self, temperature: float, alpha: float, beta: float, *, standardise: bool = False) -> None:
        super().__init__(temperature, standardise=standardise)
        self.alpha = alpha
        self.beta = beta

    def divergence(self, learner: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Give the weighed sum of both divergences of each pixel."""
        labels = target.long().unsqueeze(1)
        (odds, rest), (wanted_odds, wanted_rest) = (_decoupled(logits, labels) for logits in (learner, source))
        binary = sum(
            F.kl_div(F.logsigmoid(sign * odds), F.logsigmoid(sign * wanted_odds), log_target=True, reduction="none")
            for sign in (1, -1)
        )
        others = F.kl_div(rest, wanted_rest, log_target=True, reduction="none").sum(1)
        return self.alpha * binary + self.beta * others


def _decoupled(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Give log(p_y / (1 - p_y)), N×H×W, and log r, N×C×H×W with 0 at the label's class: equal, it adds nothing."""
    others = logits.scatter(1, labels, -math.inf)
    odds = logits.gather(1, labels) - others.logsumexp(1, keepdim=True)
    return odds.squeeze(1), others.log_softmax(1).scatter(1, labels, 0)
