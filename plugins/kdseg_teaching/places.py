"""Which pixels of an image are which: boundaries, and an even sample."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
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


def sample(height: int, width: int, most: int, device: torch.device) -> Tensor:
    """Tell the pixels of a square grid that has about `most` of an image, H×W booleans; the first step starts half in.

    Args:
        height: of the image.
        width: of the image.
        most: where the image has no more, all of them.
        device: where the answer is wanted.
    """
    step = max(1, math.ceil(math.sqrt(height * width / most)))
    chosen = torch.zeros(height, width, dtype=torch.bool, device=device)
    chosen[min(step // 2, height - 1) :: step, min(step // 2, width - 1) :: step] = True
    return chosen
