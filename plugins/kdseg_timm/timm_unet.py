"""An encoder of timm with a UNet's decoder."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import timm
import torch
import torch.nn.functional as F
from timm.layers.format import Format
from torch import nn

from kdseg import KdsegError, did_you_mean
from kdseg_timm.stages import Stages

if TYPE_CHECKING:
    from torch import Tensor

    from kdseg import BackboneContext

_WIDEST = 256


class TimmUNetNetwork(nn.Module):
    """Each stage of the decoder takes the coarser features at its size and the encoder's beside them."""

    def __init__(self, encoder: str, width: int, ctx: BackboneContext) -> None:
        super().__init__()
        self.encoder: Any = _encoder(encoder, ctx.in_channels)
        channels: list[int] = self.encoder.feature_info.channels()
        self.channels_last = getattr(self.encoder, "output_fmt", None) == Format.NHWC
        self.stages = Stages(len(channels))
        widths = [min(width * 2**stage, _WIDEST) for stage in range(len(channels) - 1)]
        coarse_to_fine = [channels[-1], *reversed(widths)]
        self.decoder = nn.ModuleList(
            _block(below + beside, above)
            for (below, above), beside in zip(pairwise(coarse_to_fine), reversed(channels[:-1]), strict=True)
        )
        self.head = nn.Conv2d(coarse_to_fine[-1], ctx.num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits at the images' size."""
        features = self.encoder(images)
        if self.channels_last:
            features = [feature.permute(0, 3, 1, 2).contiguous() for feature in features]
        *beside, below = self.stages(features)
        for block, skip in zip(self.decoder, reversed(beside), strict=True):
            below = block(torch.cat([_resized(below, skip.shape[2:]), skip], 1))
        return _resized(self.head(below), images.shape[2:])


def _encoder(name: str, in_channels: int) -> Any:
    if not timm.is_model(name):
        hint = did_you_mean(name, timm.list_models()) or "; timm.list_models() lists them"
        raise KdsegError(f"timm {timm.__version__} has no model {name!r}{hint}")
    try:
        encoder = timm.create_model(name, pretrained=False, features_only=True, in_chans=in_channels)
    except (RuntimeError, AssertionError, TypeError, AttributeError) as error:
        raise KdsegError(f"timm's {name!r} gives no features by stages: {error}") from error
    if len(encoder.feature_info.channels()) < 2:  # noqa: PLR2004 (one to begin with, one beside it)
        raise KdsegError(f"timm's {name!r} has one stage; a UNet needs several")
    return encoder


def _block(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _resized(features: Tensor, size: torch.Size) -> Tensor:
    return (
        features if features.shape[2:] == size else F.interpolate(features, size, mode="bilinear", align_corners=False)
    )
