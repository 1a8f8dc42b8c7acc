"""An even sample of an image's pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


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
