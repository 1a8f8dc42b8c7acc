"""Losses on labels that compare the region of each class as a whole: overlap in place of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossModule, full_precision

if TYPE_CHECKING:
    from kdseg.losses import LossCall, Prediction


class DiceLoss(LossModule):
    """Soft Dice loss of each image: the mean, over the classes present in it, of 1 - D_c.

    D_c = 2 sum p_c g_c / (sum p_c^2 + sum g_c), summed over the image's valid pixels, g_c being 1 where the label is c
    and 0 elsewhere. Milletari et al. (V-Net, 1606.04797), who take it of one volume at a time with a single
    class; here of one image at a time, for each class. A class that an image lacks has D_c = 0 and no gradient, so it
    is left out of the mean, and nothing needs to be added to a divisor. The mean over images divides by the number of
    those with a valid pixel.
    """

    def count(self, target: Tensor) -> Tensor:
        """Give the number of images with a valid pixel."""
        return (target != IGNORE_INDEX).flatten(1).any(1).sum()

    def forward(self, learner: Prediction, source: Prediction | None, target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Sum the losses of the images."""
        probabilities, labels, valid = _flat(learner, target)
        together, sizes = _overlap(probabilities, labels, valid)
        dice = 2 * together / (probabilities.square().sum(2) + sizes).clamp_min(1)  # 1 or more where a class is present
        return _mean_where(sizes > 0, 1 - dice).sum()


class JaccardLoss(LossModule):
    """Soft Jaccard loss of a micro-batch: the mean, over the classes present in it, of 1 - J_c.

    J_c = I / U, I = sum p_c g_c, U = sum (p_c + g_c - p_c g_c), summed over all valid pixels together. Rahman and Wang,
    "Optimizing intersection-over-union in deep neural networks for image segmentation" (ISVC 2016), of one class.
    The sums run over all images together, as benchmarks sum over a whole split. A class that is not there has J_c = 0
    and no gradient, and is left out of the mean.
    """

    def forward(self, learner: Prediction, source: Prediction | None, target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Give the loss of the micro-batch."""
        probabilities, labels, valid = _flat(learner, target)
        together, sizes = (sums.sum(0) for sums in _overlap(probabilities, labels, valid))
        union = probabilities.sum(2).sum(0) + sizes - together
        return _mean_where(sizes > 0, 1 - together / union.clamp_min(1))


class LovaszSoftmaxLoss(LossModule):
    """Lovász-Softmax loss of a micro-batch: the mean, over the classes present in it, of the extension of 1 - IoU_c.

    Berman et al. (1705.08790), over the classes present and all valid pixels of the micro-batch together, as their code
    does for the IoU of a split. The errors of class c, 1 - p_c where the label is c and
    p_c elsewhere, are sorted from the largest; each is weighed by what 1 - IoU grows by when its pixel joins those that
    are wrong. With G pixels of the class, h of which are among the first i, the union is U = G + i - h, and it grows
    by 1 / U where pixel i is of the class, else by (G - h) / (U (U - 1)): their algorithm 1, without its difference of
    two numbers close to 1.
    """

    def forward(self, learner: Prediction, source: Prediction | None, target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Give the loss of the micro-batch."""
        probabilities, labels, valid = _flat(learner, target)
        labels = labels.flatten().masked_fill(~valid.flatten(), -1)
        present = (labels + 1).bincount()[1:].nonzero().flatten().tolist()
        losses = [_lovasz_extension(labels, number, probabilities[:, number].flatten()) for number in present]
        return torch.stack(losses).mean() if losses else probabilities.sum()  # of nothing but 0


def _lovasz_extension(labels: Tensor, number: int, outputs: Tensor) -> Tensor:
    """Give the loss of one class; `labels` is below 0 where a pixel is ignored."""
    inside = labels == number
    errors = torch.where(inside, 1 - outputs, outputs)
    keys = errors.detach().masked_fill(labels < 0, -1)  # ignored pixels come last, and their errors are 0
    if keys.dtype == torch.float32:
        keys = keys.view(torch.int32)  # in the same order; integers, ascending, are sorted by radix, far more quickly
    order = keys.neg().sort().indices
    inside = inside[order]
    hits = inside.cumsum(0)
    left = hits[-1] - hits
    union = (left + torch.arange(1, len(hits) + 1, device=hits.device)).to(errors.dtype)  # G + i - h
    growth = torch.where(inside, 1, left / (union - 1).clamp_min(1)) / union
    return errors @ torch.empty_like(growth).scatter_(0, order, growth)  # in the pixels' own order: a quick backward


def _flat(learner: Prediction, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give probabilities N×C×P, labels N×P and which pixels are valid, N×P; of the others, 0 and label 0."""
    ignored = target == IGNORE_INDEX
    hidden = ignored.unsqueeze(1)
    probabilities = full_precision(learner.logits).masked_fill(hidden, 0).softmax(1).masked_fill(hidden, 0)
    return probabilities.flatten(2), target.masked_fill(ignored, 0).long().flatten(1), ~ignored.flatten(1)


def _overlap(probabilities: Tensor, labels: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Give the sum of p_c over the pixels of class c, and their number, of each image: N×C, added in float64."""
    right = probabilities.gather(1, labels.unsqueeze(1)).squeeze(1).double()
    nothing = right.new_zeros(probabilities.shape[:2])
    together, sizes = (nothing.scatter_add(1, labels, values) for values in (right, valid.double()))
    return together.to(probabilities.dtype), sizes.to(probabilities.dtype)


def _mean_where(chosen: Tensor, values: Tensor) -> Tensor:
    """Give the mean of the chosen values of each row; 0 where none is."""
    return values.masked_fill(~chosen, 0).sum(-1) / chosen.sum(-1).clamp_min(1)
