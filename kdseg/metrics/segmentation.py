"""The scores of a participant on a split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdseg.metrics.confusion import iou, mean_iou, pixel_accuracy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from kdseg.components import Metric


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


SCORES = ("miou", "pixel_accuracy")
"""Those that a recipe can judge by: greater is better."""


def scores_to_judge_by(metrics: Sequence[Metric]) -> tuple[str, ...]:
    """Give the names of all scores that a recipe with these metrics can judge by."""
    return (*SCORES, *(f"{metric.name}/{score}" for metric in metrics for score in metric.scores))
