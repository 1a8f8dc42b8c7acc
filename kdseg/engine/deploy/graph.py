"""What an exported file must say, as a module: images as a camera gives them in, classes out."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from kdseg.engine.models.optimised import fold_batch_norms

if TYPE_CHECKING:
    from torch import Tensor

    from kdseg.engine.models.model import SegmentationModel

WHITE = 255.0


class DeployedGraph(nn.Module):
    """A network with what comes before and after it.

    Called with uint8 RGB images N×3×H×W it gives classes uint8 N×H×W; for logits, with floats in 0..1, logits
    N×C×H×W float32.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, model: SegmentationModel, *, logits: bool, seen: tuple[int, int] | None) -> None:
        """Copy a model.

        Args:
            model: in float32, on the CPU.
            logits: whether it takes floats and gives logits.
            seen: height and width at which the network sees every image; None: the image's own.
        """
        super().__init__()
        self.network = copy.deepcopy(model.network).eval()
        self.logits, self.seen = logits, seen
        deviation = model.std if logits else model.std * WHITE
        self.register_buffer("scale", 1 / deviation)
        self.register_buffer("shift", -model.mean / model.std)

    def forward(self, images: Tensor) -> Tensor:
        """Give the classes, or the logits."""
        size = images.shape[2:]
        pixels = images.float()
        if self.seen is not None:
            pixels = F.interpolate(pixels, self.seen, mode="bilinear", align_corners=False)
        kind = next((weight.dtype for weight in self.network.parameters()), torch.float32)
        output = self.network((pixels * self.scale + self.shift).to(kind))
        scores: Tensor = (output["logits"] if isinstance(output, dict) else output).float()
        if self.seen is not None:
            scores = F.interpolate(scores, size, mode="bilinear", align_corners=False)
        return scores if self.logits else scores.argmax(1).to(torch.uint8)

    def folded(self) -> DeployedGraph:
        """Give a copy whose batch normalisation is part of its convolutions."""
        graph = copy.deepcopy(self)
        fold_batch_norms(graph.network)
        return graph
