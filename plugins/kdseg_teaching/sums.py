"""All that the diagnostic adds up: a fixed number of sums, whatever the images and trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from attrs import fields, frozen
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

BINS = 15
"""Of confidence, of equal width, as Guo et al. (1706.04599) take them."""
GRID = tuple(float(temperature) for temperature in np.geomspace(0.1, 20, 33))
"""Temperatures among which the one is sought that fits the labels best."""


@frozen(eq=False)
class Sums:
    """Sums over pixels; C classes, T temperatures, B bins. int64 where they count, float64 else."""

    pixels: Tensor
    """C×2×2 counts: the true class, whether the prediction is right, whether the pixel is of the boundary."""
    entropy: Tensor
    """T×C×2×2: likewise, in nats."""
    errors: Tensor
    """C×2: negative log-likelihood and Brier score, by true class."""
    top: Tensor
    """B×2 counts of the pixels, and of the right ones, whose highest probability is in the bin."""
    top_confidence: Tensor
    """B: the sum of those probabilities."""
    class_top: Tensor
    """C×B×2 counts of the pixels whose probability of the class is in the bin, and of those that are of the class."""
    class_confidence: Tensor
    """C×B: the sum of those probabilities."""
    others: Tensor
    """T×C×(C-1): the probabilities of the other classes, which sum to 1 at each pixel, by true class."""
    others_entropy: Tensor
    """T×C: their entropy in nats, by true class."""
    grid: Tensor
    """Negative log-likelihood of the sampled pixels at each temperature of `GRID`."""
    sampled: Tensor
    """1: how many those are."""
    agreement: Tensor
    """C: rank correlations of sampled pixels, by true class, over all further trials."""
    agreeing: Tensor
    """C: how many those are."""

    @classmethod
    def zeros(cls, classes: int, temperatures: int, device: torch.device | str = "cpu") -> Sums:
        """Make sums of nothing."""

        def counts(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.int64, device=device)

        def values(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        return cls(
            pixels=counts(classes, 2, 2),
            entropy=values(temperatures, classes, 2, 2),
            errors=values(classes, 2),
            top=counts(BINS, 2),
            top_confidence=values(BINS),
            class_top=counts(classes, BINS, 2),
            class_confidence=values(classes, BINS),
            others=values(temperatures, classes, classes - 1),
            others_entropy=values(temperatures, classes),
            grid=values(len(GRID)),
            sampled=counts(1),
            agreement=values(classes),
            agreeing=counts(classes),
        )

    def tensors(self) -> Sequence[Tensor]:
        """Give all of them."""
        return [getattr(self, attribute.name) for attribute in fields(type(self))]

    def precise(self) -> Sums:
        """Give all as float64: torch divides counts by counts in float32."""
        return type(self)(*(tensor.double() for tensor in self.tensors()))

    def add(self, other: Sums) -> None:
        """Add others, from any device."""
        for mine, theirs in zip(self.tensors(), other.tensors(), strict=True):
            mine.add_(theirs.to(mine.device))
