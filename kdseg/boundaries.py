"""Where one class ends and another begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F

from kdseg.data.samples import IGNORE_INDEX

if TYPE_CHECKING:
    from torch import Tensor


def boundary(target: Tensor, radius: int) -> Tensor:
    """Tell the pixels that have another valid label within a square of (2·radius+1)² around them; ignored ones do not.

    Args:
        target: N×H×W class indices, 255 where ignored.
        radius: 0 or more.

    Returns:
        N×H×W booleans; those of ignored pixels mean nothing.
    """
    ignored = target == IGNORE_INDEX
    labels = target.float()[:, None]
    high = _highest(labels.masked_fill(ignored[:, None], -1), radius)
    low = -_highest(-labels, radius)  # ignored pixels are higher than any label
    return (high != low)[:, 0]


def _highest(values: Tensor, radius: int) -> Tensor:
    """Give the highest value around each pixel: along the rows, then along the columns."""
    side = 2 * radius + 1
    along = F.max_pool2d(values, (1, side), 1, (0, radius))
    return F.max_pool2d(along, (side, 1), 1, (radius, 0))
