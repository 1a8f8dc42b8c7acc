"""What one chunk of pixels adds to the sums. Logits are P×C float64 of valid pixels, labels P int64."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch.special import entr

from kdseg_teaching.sums import BINS, GRID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from kdseg_teaching.sums import Sums


def add_entropies(sums: Sums, logits: Tensor, labels: Tensor, boundary: Tensor, temperatures: Sequence[float]) -> None:
    """Add the entropies at each temperature, of all classes and of all but the right one.

    Args:
        sums: what is added to.
        logits: P×C.
        labels: P.
        boundary: P, whether the pixel is of a boundary.
        temperatures: by which logits are divided.
    """
    right = logits.argmax(1) == labels
    groups = (2 * labels + right) * 2 + boundary
    sums.pixels.view(-1).add_(torch.bincount(groups, minlength=sums.pixels.numel()))
    target = F.one_hot(labels, logits.shape[1]).bool()
    by_class = target.double().T
    for number, temperature in enumerate(temperatures):
        softened = logits / temperature
        sums.entropy[number].view(-1).index_add_(0, groups, entr(softened.softmax(1)).sum(1))
        others = softened.masked_fill_(target, -torch.inf).softmax(1)  # p_j / (1 - p_y), where 1 - p_y is no difference
        sums.others[number].add_(by_class @ others)
        sums.others_entropy[number].add_(by_class @ entr(others).sum(1))


def add_errors(sums: Sums, logits: Tensor, labels: Tensor) -> None:
    """Add the negative log-likelihood, the Brier score, and what the calibration errors are made of."""
    log_p = logits.log_softmax(1)
    p = log_p.exp()
    target = F.one_hot(labels, logits.shape[1]).double()
    nll = -log_p.gather(1, labels[:, None]).squeeze(1)
    brier = (p - target).square().sum(1)
    sums.errors.add_(target.T @ torch.stack([nll, brier], 1))

    confidence = p.amax(1)
    _add_to_bins(sums.top, sums.top_confidence, confidence, logits.argmax(1) == labels)
    for number, (counts, confidences) in enumerate(zip(sums.class_top, sums.class_confidence, strict=True)):
        _add_to_bins(counts, confidences, p[:, number], labels == number)


def _add_to_bins(counts: Tensor, confidences: Tensor, confidence: Tensor, hits: Tensor) -> None:
    """Count pixels and hits by their confidence, in bins that do not hold their lower end."""
    bins = ((confidence * BINS).ceil().long() - 1).clamp_(0, BINS - 1)
    both = torch.bincount(2 * bins + hits, minlength=2 * BINS).view(BINS, 2)
    counts.add_(torch.stack([both.sum(1), both[:, 1]], 1))
    confidences.index_add_(0, bins, confidence)


def add_grid(sums: Sums, logits: Tensor, labels: Tensor) -> None:
    """Add the negative log-likelihood at each temperature of the grid."""
    for number, temperature in enumerate(GRID):
        log_p = (logits / temperature).log_softmax(1)
        sums.grid[number] -= log_p.gather(1, labels[:, None]).sum()
    sums.sampled.add_(len(labels))


def centred_ranks(logits: Tensor, labels: Tensor) -> Tensor:
    """Give the ranks of the logits of all classes but the right one, P×(C-1), less their mean.

    Equal logits share the mean of their ranks.
    """
    pixels, classes = logits.shape
    others = logits[~F.one_hot(labels, classes).bool()].view(pixels, classes - 1)
    ordered = others.sort(1).values
    below, up_to = (torch.searchsorted(ordered, others, right=right) for right in (False, True))
    return (below + up_to - (classes - 1)).double() / 2


def add_agreement(sums: Sums, ours: Tensor, theirs: Tensor, labels: Tensor) -> None:
    """Add Spearman's rank correlation at each pixel; none is counted where one side ranks all classes the same.

    Args:
        sums: what is added to.
        ours: P×(C-1), as `centred_ranks` gives them.
        theirs: likewise.
        labels: P.
    """
    spread = (ours.square().sum(1) * theirs.square().sum(1)).sqrt()
    told = spread > 0
    correlation = (ours * theirs).sum(1)[told] / spread[told]
    sums.agreement.index_add_(0, labels[told], correlation)
    sums.agreeing.add_(torch.bincount(labels[told], minlength=len(sums.agreeing)))
