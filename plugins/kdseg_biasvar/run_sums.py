"""What is kept over the images: sums that processes can add up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import frozen
from torch import Tensor

from kdseg_biasvar.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg_biasvar.design import Design

REGIONS = ("interior", "boundary")


@frozen(eq=False)
class RunSums:
    """An arm's sums over the pixels of I images; the tensors are zeros where nothing was seen."""

    images: Tensor
    """I×C×2×Q: of each image, class and region, the sum over pixels of each of `QUANTITIES`."""
    left: Tensor
    """S×C×2×Q: the same over all images, without the trials of one sample; S is 0 where none is left out."""
    confusions: Tensor
    """(K+3)×C×C int64 counts, a row a true class: of each trial, and of their ensembles."""

    @classmethod
    def zeros(cls, images: int, classes: int, design: Design, device: torch.device | None = None) -> RunSums:
        """Make all sums, empty."""
        cells = (classes, len(REGIONS), len(QUANTITIES))
        return cls(
            torch.zeros(images, *cells, dtype=torch.float64, device=device),
            torch.zeros(design.left_out, *cells, dtype=torch.float64, device=device),
            torch.zeros(design.trials + 3, classes, classes, dtype=torch.int64, device=device),
        )

    def tensors(self) -> Sequence[Tensor]:
        """Give all of them."""
        return [self.images, self.left, self.confusions]

    def add(self, batch: RunSums, indices: Tensor) -> None:
        """Add those of a batch of images."""
        self.images.index_add_(0, indices, batch.images.cpu())
        self.left.add_(batch.left.cpu())
        self.confusions.add_(batch.confusions.cpu())


def by_cell(values: Tensor, cells: Tensor, classes: int) -> Tensor:
    """Sum P×q values over the pixels of each class and region.

    Args:
        values: float64.
        cells: P, class · 2 + region.
        classes: C.

    Returns:
        C×2×q.
    """
    sums = values.new_zeros(classes * len(REGIONS), values.shape[1]).index_add_(0, cells, values)
    return sums.view(classes, len(REGIONS), -1)


def confusion(labels: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Count the pixels of each pair of a true and a predicted class: C×C."""
    return torch.bincount(labels * classes + predicted, minlength=classes**2).view(classes, classes)
