"""What is kept of each pixel: sums over trials."""

from __future__ import annotations

import torch
from attrs import fields, frozen
from torch import Tensor


@frozen(eq=False)
class PixelSums:
    """Sums over some trials at P pixels of C classes; `p` are a trial's probabilities, float64.

    A sample is the trials of one training set; the last two say what those of one sample share.
    """

    log_p: Tensor
    """C×P, sum of log p."""
    p: Tensor
    """C×P, sum of p."""
    squares: Tensor
    """P, sum of ‖p‖²."""
    votes: Tensor
    """C×P int16, trials that predict the class."""
    log_norms: Tensor
    """P, sum over samples of logsumexp(mean log p), which is -KL of the sample's centre to its trials."""
    centres: Tensor
    """P, sum over samples of ‖mean p‖²."""

    @classmethod
    def zeros(cls, classes: int, pixels: int, device: torch.device) -> PixelSums:
        """Make all sums, empty."""
        planes = torch.zeros(classes, pixels, dtype=torch.float64, device=device)
        line = planes.new_zeros(pixels)
        votes = torch.zeros(classes, pixels, dtype=torch.int16, device=device)
        return cls(planes, planes.clone(), line, votes, line.clone(), line.clone())

    @classmethod
    def of_trial(cls, logits: Tensor) -> PixelSums:
        """Give the sums over one trial of logits C×P; it belongs to a sample that is not complete."""
        log_p = logits.double().log_softmax(0)
        p = log_p.exp()
        votes = torch.zeros(logits.shape, dtype=torch.int16, device=logits.device)
        votes.scatter_(0, logits.max(0, keepdim=True).indices, 1)
        nothing = log_p.new_zeros(log_p.shape[1])
        return cls(log_p, p, p.square().sum(0), votes, nothing, nothing)

    def at(self, pixels: slice) -> PixelSums:
        """Give those of some of the pixels, as views."""
        return type(self)(*(getattr(self, name)[..., pixels] for name in NAMES))

    def clear(self) -> None:
        """Forget all trials."""
        for name in NAMES:
            getattr(self, name).zero_()

    def add(self, other: PixelSums) -> None:
        """Add further trials."""
        for name in NAMES:
            getattr(self, name).add_(getattr(other, name))

    def without(self, other: PixelSums) -> PixelSums:
        """Give the sums over the trials that are not in another."""
        return type(self)(*(getattr(self, name) - getattr(other, name) for name in NAMES))

    def closed(self, seeds: int) -> PixelSums:
        """Say that these are all `seeds` trials of one sample."""
        if seeds == 1:  # log p is normalised: no rounding may pass for spread
            return type(self)(self.log_p, self.p, self.squares, self.votes, self.log_norms, self.squares)
        log_norms = (self.log_p / seeds).logsumexp(0)
        return type(self)(self.log_p, self.p, self.squares, self.votes, log_norms, (self.p / seeds).square().sum(0))


NAMES = tuple(attribute.name for attribute in fields(PixelSums))
