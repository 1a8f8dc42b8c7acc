"""How features vary within a class: their likeness to the class's mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from kdseg_losses.cell_labels import cell_labels
from kdseg_losses.features import FeatureLoss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg.components import LossContext
    from kdseg.losses import LossCall


class IntraClassVariationLoss(FeatureLoss):
    """Squared difference of likeness to the class's mean: (M_S - M_T)^2 at each cell.

    M = cos(F, mu_y) at a cell of class y, mu_y the mean of F over the valid cells of class y in the same image. Wang et
    al., "Intra-class feature variation distillation for semantic segmentation" (IFVD, ECCV 2020).
    The mean is over the valid cells; their code counts ignored ones too. M is a number, so channels need not match. The
    class of a cell is the most frequent among its pixels, of equally frequent ones the lowest; their code takes the
    nearest pixel's. F or mu_y of zeros has the cosine 0, without a gradient.
    """

    projects: ClassVar[bool] = False

    def __init__(self, pairs: Sequence[tuple[str, str]], ctx: LossContext) -> None:
        super().__init__(pairs, ctx)
        self.num_classes = ctx.num_classes

    def numbered_pair_loss(
        self,
        number: int,
        learner: Tensor,
        source: Tensor,
        valid: Tensor,
        target: Tensor,
        call: LossCall,  # noqa: ARG002
    ) -> Tensor:
        """Sum over the cells."""
        labels = cell_labels(target, self.pairs[number].size, self.num_classes)
        classes = labels.masked_fill(~valid, 0).flatten(1)  # features there are 0: they add to no class
        numbers = torch.arange(self.num_classes, device=classes.device)
        members = (classes.unsqueeze(2) == numbers).to(learner.dtype)
        mine, theirs = (_likeness(values.flatten(2), classes, members) for values in (learner, source))
        return (mine - theirs).square().sum()


def _likeness(features: Tensor, classes: Tensor, members: Tensor) -> Tensor:
    """Give cos(F, mu_y) of each cell, N×P.

    Args:
        features: N×C×P.
        classes: N×P.
        members: N×P×K, 1 at a cell's class and 0 elsewhere.
    """
    sums = features @ members  # N×C×K; a mean has the direction of its sum
    products = (sums.transpose(1, 2) @ features).gather(1, classes.unsqueeze(1)).squeeze(1)
    return products * _inverse_norm(features) * _inverse_norm(sums).gather(1, classes)


def _inverse_norm(vectors: Tensor) -> Tensor:
    """Give 1 / |v| of vectors N×C×P; 0 for those of zeros, without a gradient."""
    squares = vectors.square().sum(1)
    nothing = squares < torch.finfo(squares.dtype).tiny
    return squares.masked_fill(nothing, 1).rsqrt().masked_fill(nothing, 0)
