"""Distillation losses as most training loops write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F

from kdseg.data.samples import IGNORE_INDEX

if TYPE_CHECKING:
    from torch import Tensor

SCALES = (0.7, 0.3)
"""Of the divergence and of the cross-entropy."""


def naive(learner: Tensor, source: Tensor, target: Tensor, temperature: float, count: Tensor) -> Tensor:
    """Give cross-entropy and T^2 KL, the mean over `count` valid pixels."""
    entropy = F.cross_entropy(learner, target, ignore_index=IGNORE_INDEX)
    wanted = F.log_softmax(source / temperature, dim=1)
    found = F.log_softmax(learner / temperature, dim=1)
    pixels = F.kl_div(found, wanted, log_target=True, reduction="none").sum(dim=1)
    divergence = temperature**2 * (pixels * (target != IGNORE_INDEX)).sum() / count
    return SCALES[0] * divergence + SCALES[1] * entropy


def naive_channels(learner: Tensor, source: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Give channel-wise distillation of the valid pixels, summed over images."""
    hidden = (target == IGNORE_INDEX).unsqueeze(1)
    wanted, found = (
        F.log_softmax((logits / temperature).masked_fill(hidden, -1e9).flatten(2), dim=2)
        for logits in (source, learner)
    )
    return temperature**2 / learner.shape[1] * F.kl_div(found, wanted, log_target=True, reduction="sum")
