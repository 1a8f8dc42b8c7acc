"""A network of segmentation_models.pytorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import nn

from kdseg import KdsegError, did_you_mean
from kdseg_timm.stages import Stages

if TYPE_CHECKING:
    from torch import Tensor

    from kdseg import BackboneContext

_CELL = 32
"""Some networks take images of multiples of this alone."""
_OTHERWISE = ("dpt",)
"""Architectures whose parts are not put together as the others' are."""


class SMPNetwork(nn.Module):
    """Its parts under the library's own names, and a place at each stage of the encoder."""

    def __init__(self, architecture: str, encoder: str, ctx: BackboneContext) -> None:
        super().__init__()
        network = _network(architecture, encoder, ctx)
        self.encoder, self.decoder, self.segmentation_head = network.encoder, network.decoder, network.segmentation_head
        self.real = tuple(number for number, count in enumerate(self.encoder.out_channels) if number and count)
        self.stages = Stages(len(self.real))  # the first is the image, and some are without channels

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits at the images' size."""
        height, width = images.shape[2:]
        features = [*self.encoder(F.pad(images, (0, -width % _CELL, 0, -height % _CELL), mode="replicate"))]
        for number, feature in zip(self.real, self.stages([features[number] for number in self.real]), strict=True):
            features[number] = feature
        logits: Tensor = self.segmentation_head(self.decoder(features))
        return logits[:, :, :height, :width]


def _network(architecture: str, encoder: str, ctx: BackboneContext) -> Any:
    known = [name for name in smp.MODEL_ARCHITECTURES_MAPPING if name not in _OTHERWISE]
    if architecture not in known:
        hint = did_you_mean(architecture, known) or f"; known are {', '.join(known)}"
        raise KdsegError(f"architecture: {architecture!r} is none that is put together here{hint}")
    encoders = smp.encoders.get_encoder_names()
    if encoder not in encoders and not encoder.startswith("tu-"):
        hint = did_you_mean(encoder, encoders) or "; timm's encoders begin with tu-"
        raise KdsegError(f"encoder: the library has no {encoder!r}{hint}")
    device = torch.get_default_device()
    try:
        with torch.device("cpu"):  # some read their own numbers as they are built
            network = smp.create_model(
                architecture,
                encoder_name=encoder,
                encoder_weights=None,
                in_channels=ctx.in_channels,
                classes=ctx.num_classes,
            )
    except (ValueError, KeyError, RuntimeError, AttributeError, NotImplementedError, TypeError) as error:
        raise KdsegError(f"{architecture!r} and {encoder!r} do not go together: {error}") from error
    return network.to(device)
