"""Optimal transport between the classes of learner and source: mistakes count by what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from kdseg_losses.logit import SoftenedLoss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class OptimalTransportLoss(SoftenedLoss):
    """T^2 (OT(p, q) - OT(p, p) / 2 - OT(q, q) / 2) at each pixel, p = softmax(source / T), q = softmax(learner / T).

    The Sinkhorn divergence of Feydy et al. (1810.08278), equation 3, between distributions over C classes, with ground
    cost D and OT(p, q) = min over plans P of <P, D> + e KL(P || p q^T), P having the marginals p and q. As e falls it
    becomes the cost of the cheapest plan, which for a cost of 1 between any two classes is half of |p - q|; as e grows,
    -(p - q)^T D (p - q) / 2. Equal predictions give exactly 0 for all e, as OT alone would not.

    Potentials start at 0 and are updated `iterations` times, both sides of a problem at once, and the last two of each
    are averaged; so the three problems go through the same numbers where p = q, as they would not with one side after
    the other. The value is that of the dual problem; what it lacks is of second order in what the potentials lack. The
    gradient with respect to q is the difference of potentials, as at convergence (the envelope theorem): no memory is
    spent on iterations, and it lacks what the potentials lack. With e = max D / 2, 20 iterations leave 1e-4 of it; a
    smaller e needs more, exp(max D / e) at worst.
    """

    cost: Tensor

    def __init__(
        self,
        temperature: float,
        cost: Sequence[Sequence[float]],
        epsilon: float,
        iterations: int,
        *,
        standardise: bool = False,
    ) -> None:
        super().__init__(temperature, standardise=standardise)
        self.register_buffer("cost", torch.tensor(cost, dtype=torch.float32), persistent=False)
        self.epsilon = epsilon
        self.iterations = iterations

    def divergence(self, learner: Tensor, source: Tensor, target: Tensor) -> Tensor:  # noqa: ARG002
        """Give the divergence of each pixel."""
        found, wanted = (F.log_softmax(logits, dim=1) for logits in (learner, source))
        kernel = torch.exp(-self.cost.to(found.dtype) / self.epsilon)
        with torch.no_grad():
            slopes = [self._slopes(kernel, *pair) for pair in zip(wanted.flatten(2), found.flatten(2), strict=True)]
        at_source, at_learner = (torch.stack(sides).view_as(found) for sides in zip(*slopes, strict=True))
        return self.epsilon * (wanted.exp() * at_source + found.exp() * at_learner).sum(1)

    def _slopes(self, kernel: Tensor, wanted: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
        """Give the divergence's gradient with respect to p and q of one image, C×P, in units of e.

        One image at a time, so that the work is done in the memory of one.
        """
        potentials = previous = [torch.zeros_like(found)] * 4  # of p and q in OT(p, q), in OT(p, p), in OT(q, q)
        for _ in range(self.iterations):
            f, g, of_source, of_learner = previous = potentials
            pairs = ((found, g), (wanted, f), (wanted, of_source), (found, of_learner))
            potentials = [_updated(kernel, log_weights, potential) for log_weights, potential in pairs]
        f, g, of_source, of_learner = ((last + first) / 2 for last, first in zip(potentials, previous, strict=True))
        return f - of_source, g - of_learner


def _updated(kernel: Tensor, log_weights: Tensor, potential: Tensor) -> Tensor:
    """Give -log sum over j of w_j exp(potential_j - D_ij / e), C×P: the potential of the other side."""
    exponents = log_weights + potential
    top = exponents.amax(0, keepdim=True)
    return (kernel @ exponents.sub_(top).exp_()).log_().add_(top).neg_()
