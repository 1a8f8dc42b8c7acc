"""What one chunk of pixels adds to the sums. Logits are P×C float64 of valid pixels, labels P int64."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

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
        labels: P, in ascending order.
        boundary: P, whether the pixel is of a boundary.
        temperatures: by which logits are divided.
    """
    right = logits.argmax(1) == labels
    groups = (2 * labels + right) * 2 + boundary
    sums.pixels.view(-1).add_(torch.bincount(groups, minlength=sums.pixels.numel()))
    sizes = torch.bincount(labels, minlength=logits.shape[1]).tolist()
    others = without_label(logits, labels)
    for number, temperature in enumerate(temperatures):
        _, entropy = _softened(logits, temperature)
        sums.entropy[number].view(-1).index_add_(0, groups, entropy)
        p, entropy = _softened(others, temperature)  # p_j / (1 - p_y), where 1 - p_y is no difference
        sums.others[number].add_(_by_class(p, sizes))
        sums.others_entropy[number].add_(_by_class(entropy, sizes))


def _softened(logits: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Give probabilities P×C and their entropy in nats, P."""
    log_p = (logits / temperature).log_softmax(1)
    p = log_p.exp()
    return p, -log_p.mul_(p).sum(1)


def _by_class(values: Tensor, sizes: Sequence[int]) -> Tensor:
    """Sum over the pixels of each class, given how many there are, one class after another."""
    return torch.stack([part.sum(0) for part in values.split(sizes)])


def without_label(values: Tensor, labels: Tensor) -> Tensor:
    """Give P×C without the column of each pixel's label, P×(C-1)."""
    pixels, classes = values.shape
    return values[~F.one_hot(labels, classes).bool()].view(pixels, classes - 1)


def add_errors(sums: Sums, logits: Tensor, labels: Tensor) -> None:
    """Add the negative log-likelihood, the Brier score, and what the calibration errors are made of.

    Args:
        sums: what is added to.
        logits: P×C.
        labels: P, in ascending order.
    """
    classes = logits.shape[1]
    log_p = logits.log_softmax(1)
    p = log_p.exp()
    at_label = labels[:, None]
    nll, own = -log_p.gather(1, at_label).squeeze(1), p.gather(1, at_label).squeeze(1)
    brier = p.square().sum(1) - own.square() + (1 - own).square()
    sizes = torch.bincount(labels, minlength=classes).tolist()
    sums.errors.add_(_by_class(torch.stack([nll, brier], 1), sizes))

    confidence, predicted = p.max(1)
    bins, right = _bins(confidence), predicted == labels
    sums.top[:, 0].add_(torch.bincount(bins, minlength=BINS))
    sums.top[:, 1].add_(torch.bincount(bins[right], minlength=BINS))
    sums.top_confidence.index_add_(0, bins, confidence)

    every = BINS * torch.arange(classes, device=labels.device)
    cells = (_bins(p) + every).view(-1)
    sums.class_top[..., 0].add_(torch.bincount(cells, minlength=BINS * classes).view(classes, BINS))
    hits = torch.bincount(_bins(own) + every[labels], minlength=BINS * classes)
    sums.class_top[..., 1].add_(hits.view(classes, BINS))
    sums.class_confidence.view(-1).index_add_(0, cells, p.view(-1))


def _bins(confidence: Tensor) -> Tensor:
    """Give the numbers of the bins, which do not hold their lower end; 0 is in the first."""
    return (confidence * BINS).ceil_().long().sub_(1).clamp_(0, BINS - 1)


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
    others = without_label(logits, labels)
    ordered = others.sort(1).values
    below, up_to = (torch.searchsorted(ordered, others, right=right) for right in (False, True))
    return (below + up_to - others.shape[1]).double() / 2


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
