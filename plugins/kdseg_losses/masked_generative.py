"""Masked generative distillation: the source's features, generated from a part of the learner's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from kdseg_losses.features import FeatureLoss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg.components import LossContext
    from kdseg.losses import LossCall


class MaskedGenerativeLoss(FeatureLoss):
    """Squared distance of generated features: 1 / C sum over the C channels of (G(m F_S) - F_T)^2, at each cell.

    Yang et al. (MGD, 2205.01529), section 3: each cell of the learner's projected map is 0 with the chance
    `mask_ratio` (mask m, drawn for each image and pair), and a 3x3 convolution, ReLU and a 3x3 convolution G make the
    source's map of what is left. They add up over channels, cells and images, with a weight of 2e-5 and a mask ratio of
    0.75 for segmentation (0.65 for their two-stage detectors); the mean here makes a weight mean the same at any stage
    and any size of images. Cells that are ignored enter G as masked ones do and are not compared.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]], ctx: LossContext, mask_ratio: float) -> None:
        super().__init__(pairs, ctx)
        self.mask_ratio = mask_ratio
        self.generators = nn.ModuleList(_generator(ctx.source_taps[source][0]) for _, source in pairs)

    def numbered_pair_loss(
        self,
        number: int,
        learner: Tensor,
        source: Tensor,
        valid: Tensor,
        target: Tensor,  # noqa: ARG002
        call: LossCall,
    ) -> Tensor:
        """Sum over the cells."""
        chances = torch.rand((len(valid), 1, *valid.shape[1:]), generator=call.generator, device=learner.device)
        generated = self.generators[number](learner.masked_fill(chances < self.mask_ratio, 0))
        difference = (generated - source).masked_fill(~valid.unsqueeze(1), 0)
        return difference.square().sum() / source.shape[1]


def _generator(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)
    )
