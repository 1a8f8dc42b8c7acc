"""Losses: on labels, on a source's logits, on a learner's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.hookspecs import hookimpl
from kdseg_losses.components import (
    ConfidencePenalty,
    CrossEntropy,
    Dice,
    Focal,
    Jaccard,
    LovaszSoftmax,
    OHEMCrossEntropy,
    PixelKL,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg.components import Loss


@hookimpl
def kdseg_losses() -> Iterable[type[Loss]]:
    """Hand over the losses."""
    return [CrossEntropy, Focal, OHEMCrossEntropy, Dice, Jaccard, LovaszSoftmax, PixelKL, ConfidencePenalty]
