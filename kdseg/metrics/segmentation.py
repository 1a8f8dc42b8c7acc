"""The scores of a participant on a split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdseg.metrics.confusion import iou, mean_iou, pixel_accuracy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def scores(matrix: Tensor, classes: Sequence[str]) -> dict[str, Any]:
    """Give the scores that follow from a confusion matrix.

    Args:
        matrix: C×C counts, a row a true class.
        classes: the names of the classes.

    Returns:
        ``miou``, ``pixel_accuracy`` and, by class name, ``iou``: numbers in 0..1, nan where nothing was counted.
    """
    by_class = dict(zip(classes, iou(matrix).tolist(), strict=True))
    return {"miou": mean_iou(matrix), "pixel_accuracy": pixel_accuracy(matrix), "iou": by_class}


METRICS = ("miou", "pixel_accuracy")
"""The scores that a recipe can judge by: greater is better."""
