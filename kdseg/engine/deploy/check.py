"""An exported file held against the network that it was made of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from attrs import define, field, frozen

from kdseg.errors import KdsegError
from kdseg.metrics.confusion import confusion_matrix, iou, mean_iou

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

LEAST_EQUAL = {"fp32": 0.9999, "bf16": 0.99, "int8": 0.0}
"""The share of pixels that must have the network's class, by precision."""
_LIKELY = {
    "fp32": "the file calculates something else than the network: tell whoever wrote the exporter",
    "bf16": "the network is unsure of many pixels, or its features are too large for bf16: --precision fp32",
    "int8": "some features are too uneven for 256 steps: more images by --calibrate may help, else --precision bf16",
}


@frozen(kw_only=True)
class Limits:
    """What an export may lose."""

    least_equal: float
    """Share of pixels, 0..1."""
    max_drop: float
    """Of the mean IoU, in points: hundredths."""


@define(kw_only=True)
class Comparison:
    """A file beside its network on the same images, image by image."""

    num_classes: int
    images: int = 0
    pixels: int = 0
    equal: int = 0
    max_error: float | None = None
    """The largest difference of two logits; None where the file gives classes alone."""
    before: Tensor = field(init=False)
    after: Tensor = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin with empty matrices."""
        self.before, self.after = (torch.zeros(self.num_classes, self.num_classes, dtype=torch.int64) for _ in range(2))

    def add(self, wanted: Tensor, found: Tensor, mask: Tensor | None) -> None:
        """Add an image.

        Args:
            wanted: the network's classes, uint8 1×H×W.
            found: the file's.
            mask: the labels, 1×H×W; None where it has none.
        """
        self.images += 1
        self.pixels += wanted.numel()
        self.equal += int((wanted == found).sum())
        if mask is not None:
            self.before += confusion_matrix(wanted, mask, self.num_classes)
            self.after += confusion_matrix(found.clamp(max=self.num_classes - 1), mask, self.num_classes)

    def add_logits(self, wanted: Tensor, found: Tensor) -> None:
        """Add the logits of an image."""
        error = float((wanted - found).abs().max())
        self.max_error = max(self.max_error or 0.0, error if error == error else float("inf"))  # noqa: PLR0124 (no number)

    def told(self) -> dict[str, Any]:
        """Give what was found, as plain data: both mean IoUs, and by how many points that of the labelled classes fell.

        A single pixel of a class that no label has would count as an IoU of 0 in one of the means alone.
        """
        labelled = self.before.sum(1) > 0
        return {
            "images": self.images,
            "equal_pixels": self.equal / max(self.pixels, 1),
            "max_error": self.max_error,
            "miou_before": mean_iou(self.before),
            "miou_after": mean_iou(self.after),
            "drop": 100 * float((iou(self.before) - iou(self.after))[labelled].mean()),
        }


def refuse_loss(found: dict[str, Any], limits: Limits, precision: str) -> None:
    """Refuse an export that lost more than it may.

    Raises:
        KdsegError: with what was found, and why it is likely.
    """
    problems = list(_problems(found, limits))
    if problems:
        raise KdsegError(
            f"the export failed its check on {found['images']} images: {'; '.join(problems)}. Nothing was left. "
            f"The likely reason: {_LIKELY[precision]}"
        )


def _problems(found: dict[str, Any], limits: Limits) -> Iterable[str]:
    if not found["equal_pixels"] >= limits.least_equal:
        yield f"{found['equal_pixels']:.4%} of pixels have the network's class, at least {limits.least_equal:.2%} must"
    if math.isnan(found["miou_before"]):
        yield "no image of the check has a labelled pixel; --images says how many are taken"
    elif not found["drop"] <= limits.max_drop:
        yield (
            f"the mean IoU of the labelled classes fell by {found['drop']:.2f} points; --max-drop "
            f"{limits.max_drop:g} allows no more"
        )
