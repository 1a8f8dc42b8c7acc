"""The network behind every UNet of the family."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from kdseg_unet.options import Block, UNet

_ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "silu": nn.SiLU}
_GROUPS = 8  # Wu & He 2018, arXiv:1803.08494, table 3; 32 would leave narrow stages one channel a group


class UNetModule(nn.Module):
    """Images N×C×H×W to logits N×K×H×W, for any H and W.

    Sizes need not be multiples of anything. A cell of a stage stands for a fixed square of pixels, counted from the top
    left corner: pooling rounds up, so that the last cell of an odd row pools what there is, and the decoder crops what
    it doubled to the size of its skip. So skip and decoder always lie on each other exactly, no border is invented for
    normalisation to average over, nothing is resampled, and sizes that are multiples cost nothing. Training and
    evaluation do the same.
    """

    def __init__(self, options: UNet, *, in_channels: int, num_classes: int) -> None:
        super().__init__()
        channels = [options.base * 2**i for i in range(options.downsamplings + 1)]
        self.stem: nn.Module = nn.Identity()
        if options.stem_stride > 1:
            self.stem = _Stem(options, in_channels)
            in_channels = options.base
        self.encoder = nn.ModuleDict()
        for i, out_channels in enumerate(channels[:-1], start=1):
            # Three colours are too few for a depthwise convolution, so the first stage is plain.
            block: Block = "plain" if i == 1 else options.block
            self.encoder[str(i)] = _double_conv(options, block, in_channels, out_channels)
            in_channels = out_channels
        self.bottleneck = _double_conv(options, options.block, in_channels, channels[-1])
        self.dropout = nn.Dropout2d(options.dropout)
        self.decoder = nn.ModuleDict()
        for i in reversed(range(1, options.downsamplings + 1)):
            self.decoder[str(i)] = DecoderStage(options, channels[i], channels[i - 1])
        self.head = upsampling(options, options.base, num_classes, options.stem_stride)
        self.apply(initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits at the images' size."""
        height, width = images.shape[-2:]
        x, skips = self.encode(images)
        for level, stage in self.decoder.items():
            x = stage(x, skips.pop(level))
        logits: Tensor = self.head(x)[..., :height, :width]
        return logits

    def encode(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Give the bottleneck's features, after dropout, and those of each stage of the encoder by its number."""
        x = self.stem(images)
        skips = {}
        for level, stage in self.encoder.items():
            skips[level] = x = stage(x)
            x = F.max_pool2d(x, 2, ceil_mode=True)
        return self.dropout(self.bottleneck(x)), skips


class _Stem(nn.Module):
    """Shrinks images by its stride, rounding up."""

    def __init__(self, options: UNet, in_channels: int) -> None:
        super().__init__()
        self.stride = options.stem_stride
        # An even kernel centres each cell on the square of pixels that the head gives back for it; an odd one would lie
        # half a pixel off.
        self.block = nn.Sequential(*_conv(options, in_channels, options.base, 2 * self.stride, stride=self.stride))

    def forward(self, images: Tensor) -> Tensor:
        below, right = (-size % self.stride for size in images.shape[-2:])
        # Padding by nothing would still copy the images; but a program of torch.export must have it, for all sizes.
        exporting = torch.compiler.is_compiling() and not torch.compiler.is_dynamo_compiling()
        if exporting or below or right:
            images = F.pad(images, (0, right, 0, below))
        cells: Tensor = self.block(images)
        return cells


class DecoderStage(nn.Module):
    """Doubles the deeper map, joins it with the skip of its size, and convolves."""

    def __init__(self, options: UNet, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.up = upsampling(options, in_channels, out_channels, 2)
        self.block = _double_conv(options, options.block, 2 * out_channels, out_channels)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        """Give features of the skip's size."""
        height, width = skip.shape[-2:]
        out: Tensor = self.block(torch.cat([skip, self.up(deep)[..., :height, :width]], dim=1))
        return out


def _double_conv(options: UNet, block: Block, in_channels: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        if block == "depthwise":
            layers += _conv(options, channels, channels, 3, groups=channels)
            layers += _conv(options, channels, out_channels, 1)
        else:
            layers += _conv(options, channels, out_channels, 3)
    return nn.Sequential(*layers)


def _conv(
    options: UNet, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Give a convolution with its normalisation and activation.

    The activation is not in place: a tap on the normalisation, for losses on features before the activation, would
    otherwise hold what comes after it.
    """
    return [
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding=(kernel - stride) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels)
        if options.norm == "batch"
        else nn.GroupNorm(math.gcd(_GROUPS, out_channels), out_channels),
        _ACTIVATIONS[options.activation](),
    ]


def upsampling(options: UNet, in_channels: int, out_channels: int, factor: int) -> nn.Module:
    """Give what multiplies height and width by `factor` and changes the channels."""
    if factor == 1:
        return nn.Conv2d(in_channels, out_channels, 1)
    if options.upsampling == "transposed":
        return nn.ConvTranspose2d(in_channels, out_channels, factor, factor)
    # A 1x1 convolution and interpolation commute: convolving the smaller map gives the same for less.
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1), nn.Upsample(scale_factor=factor, mode="bilinear", align_corners=False)
    )


def initialise(module: nn.Module) -> None:
    """Draw weights that keep the variance: He et al. 2015, arXiv:1502.01852, with gain 1 where no ReLU follows."""
    if isinstance(module, nn.ConvTranspose2d):
        # Its kernel is its stride, so each output sees every input channel once; torch's fan would count the kernel.
        nn.init.normal_(module.weight, std=module.in_channels**-0.5)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu" if module.bias is None else "linear")
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
        nn.init.zeros_(module.bias)
