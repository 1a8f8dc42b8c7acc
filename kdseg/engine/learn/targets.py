"""What a term compares predictions at: the labels, or, where it counts on all pixels, a class everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import full_precision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@torch.no_grad()
def filled(target: Tensor, opinions: Sequence[Tensor]) -> Tensor:
    """Give a target in which pixels without a label have the likeliest class, for losses that read classes.

    Args:
        target: N×H×W, `IGNORE_INDEX` where there is no label.
        opinions: logits N×C×H×W of whom the term learns from; of several, the mean of their probabilities decides.
    """
    if len(opinions) == 1:
        (scores,) = opinions
    else:
        scores = torch.stack([full_precision(logits).softmax(1) for logits in opinions]).sum(0)
    return torch.where(target == IGNORE_INDEX, scores.argmax(1), target)
