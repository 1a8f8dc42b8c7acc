"""Scores of semantic segmentation as BDD100K publishes them (Yu et al. 2020, arXiv:1805.04687).

The rules are those of the official evaluator, ``bdd100k.eval.seg`` of bdd100k 1.0.1, but in 0..1 where it says percent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from kdseg.metrics.confusion import confusion_matrix

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor


class BDD100KMeasure:
    """Counts pixels by true and predicted class; a last column holds predictions that are no class."""

    def __init__(self, classes: Sequence[str]) -> None:
        """Start from nothing, for classes in the order of their train indices."""
        self._classes = classes
        self._pixels = torch.zeros(len(classes), len(classes) + 1, dtype=torch.int64)

    def update(self, prediction: Tensor, target: Tensor, extras: Sequence[Mapping[str, Any]]) -> None:  # noqa: ARG002 (it reads none)
        """Add a batch. Predictions that are no class are misses."""
        other = len(self._classes)
        self._pixels += confusion_matrix(prediction.clamp(max=other), target, other + 1).cpu()[:other]

    def tensors(self) -> Sequence[Tensor]:
        """Give all that was added up: integers, so that sums are exact."""
        return [self._pixels]

    def compute(self) -> dict[str, Any]:
        """Give the scores; nan, in the tables too, for classes that the truth lacks."""
        other = len(self._classes)
        pixels = self._pixels.double()
        hits, truth, predicted = pixels.diagonal(), pixels.sum(1), pixels[:, :other].sum(0)
        iou = hits / (truth + predicted - hits)
        precision = (hits / predicted).nan_to_num(0.0)  # never predicted: the evaluator says 0
        iou[truth == 0] = precision[truth == 0] = torch.nan
        return {
            "miou": float(iou.nanmean()),
            "fiou": float((iou * truth).nansum() / truth.sum()),
            "pixel_accuracy": float(hits.sum() / truth.sum()),
            "precision": float(precision.nanmean()),
            "iou_by_class": dict(zip(self._classes, iou.tolist(), strict=True)),
            "precision_by_class": dict(zip(self._classes, precision.tolist(), strict=True)),
        }
