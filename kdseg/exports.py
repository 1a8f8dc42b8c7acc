"""What exporters and those who run exported files agree on, without the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

PRECISIONS = ("fp32", "bf16", "int8")


class Runner(Protocol):
    """Runs an exported file."""

    def __call__(self, images: Tensor, /) -> Tensor:
        """Give what the file gives: classes uint8 N×H×W, or logits float32 N×C×H×W.

        Args:
            images: N×3×H×W on the CPU, contiguous; uint8, or floats in 0..1 for a file that gives logits. One alone of
                the file's size, where it takes no other.
        """
        ...
