"""How features vary within a class: their likeness to the class's mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from kdseg_losses.features import FeatureLoss, Size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg.components import LossContext
    from kdseg.losses import LossCall


class IntraClassVariationLoss(FeatureLoss):
    """Squared difference of likeness to the class's mean: (M_S - M_T)^2 at each cell.

    M = cos(F, mu_y) at a cell of class y, mu_y the mean of F over the valid cells of class y in the same image. Wang et
    al., "Intra-class feature variation distillation for semantic segmentation" (IFVD, ECCV 2020), equations 1 to 3.
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
        number: int,  # noqa: ARG002
        learner: Tensor,
        source: Tensor,
        valid: Tensor,
        target: Tensor,
        call: LossCall,  # noqa: ARG002
    ) -> Tensor:
        """Sum over the cells."""
        classes = cell_classes(target, (valid.shape[1], valid.shape[2]), self.num_classes)
        classes = classes.masked_fill(~valid, self.num_classes).flatten(1)  # one more class, of zeros
        members = F.one_hot(classes, self.num_classes + 1).to(learner.dtype)
        likeness = (_likeness(values.flatten(2), classes, members) for values in (learner, source))
        return (next(likeness) - next(likeness)).square().sum()


def cell_classes(target: Tensor, size: Size, num_classes: int) -> Tensor:
    """Give the class of each cell, N×h×w: the most frequent among its valid pixels, the lowest of equally frequent.

    Args:
        target: N×H×W class indices; `IGNORE_INDEX`, or any other that is no class, counts for none.
        size: height and width of the tap.
        num_classes: how many classes there are; a cell without a valid pixel is of class 0.
    """
    if size == tuple(target.shape[-2:]):
        return torch.where(target < num_classes, target, 0).long()
    most = torch.zeros((len(target), *size), device=target.device)
    classes = torch.zeros_like(most, dtype=torch.long)
    for number in range(num_classes):  # one map at a time, where counts of all classes could be larger than the taps
        share = F.adaptive_avg_pool2d((target == number).float(), size)
        classes = classes.masked_fill(share > most, number)
        most = torch.maximum(most, share)
    return classes


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
