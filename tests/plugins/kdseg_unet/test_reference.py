"""The network against a UNet written out by hand from its state dict: slow, in float64, sharing no code with it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from kdseg.components import BackboneContext
from kdseg_unet import UNet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


def convolve(x: Tensor, weight: Tensor, stride: int = 1) -> Tensor:
    """Cross-correlate with zeros outside, one kernel cell at a time; depthwise if weights have one input channel."""
    kernel = weight.shape[-1]
    pad = (kernel - stride) // 2
    n, c, h, w = x.shape
    padded = x.new_zeros(n, c, h + 2 * pad, w + 2 * pad)
    padded[:, :, pad : pad + h, pad : pad + w] = x
    out_h, out_w = ((size + 2 * pad - kernel) // stride + 1 for size in (h, w))
    depthwise = weight.shape[1] == 1 and c > 1
    out = x.new_zeros(n, weight.shape[0], out_h, out_w)
    for i in range(kernel):
        for j in range(kernel):
            window = padded[:, :, i : i + stride * out_h : stride, j : j + stride * out_w : stride][
                :, :, :out_h, :out_w
            ]
            if depthwise:
                out += weight[:, 0, i, j].view(1, -1, 1, 1) * window
            else:
                out += torch.einsum("oc,nchw->nohw", weight[:, :, i, j], window)
    return out


def normalise(x: Tensor, state: Mapping[str, Tensor], key: str, norm: str) -> Tensor:
    """Subtract the mean, divide by the deviation, scale and shift; batch norm by its running statistics."""
    channels = x.shape[1]
    if norm == "batch":
        mean, variance = (state[f"{key}.running_{s}"].view(1, -1, 1, 1) for s in ("mean", "var"))
    else:
        groups = math.gcd(8, channels)
        per_group = x.reshape(x.shape[0], groups, -1)
        mean, variance = (
            s.repeat_interleave(channels // groups, dim=1)[:, :, None, None]
            for s in (per_group.mean(-1), per_group.var(-1, unbiased=False))
        )
    scaled = (x - mean) / (variance + 1e-5).sqrt()
    return scaled * state[f"{key}.weight"].view(1, -1, 1, 1) + state[f"{key}.bias"].view(1, -1, 1, 1)


def activate(x: Tensor, activation: str) -> Tensor:
    """max(x, 0); max(x, x/100); x / (1 + exp(-x))."""
    if activation == "silu":
        return x / (1 + (-x).exp())
    return torch.maximum(x, x * (0.01 if activation == "leaky_relu" else 0))


def layers(x: Tensor, state: Mapping[str, Tensor], options: UNet, key: str, strides: list[int]) -> Tensor:
    """Convolution, normalisation, activation, once for each stride."""
    for i, stride in enumerate(strides):
        x = convolve(x, state[f"{key}.{3 * i}.weight"], stride)
        x = activate(normalise(x, state, f"{key}.{3 * i + 1}", options.norm), options.activation)
    return x


def pool(x: Tensor) -> Tensor:
    """Give the greatest of each 2x2 square, of what there is of it at the last row and column."""
    h, w = x.shape[-2:]
    rows = torch.stack([x[..., i : i + 2, :].amax(-2) for i in range(0, h, 2)], dim=-2)
    return torch.stack([rows[..., j : j + 2].amax(-1) for j in range(0, w, 2)], dim=-1)


def interpolation(size: int, factor: int) -> Tensor:
    """Give the matrix of linear interpolation between the centres of cells, held at both ends."""
    matrix = torch.zeros(size * factor, size, dtype=torch.float64)
    for pixel in range(size * factor):
        position = min(max((pixel + 0.5) / factor - 0.5, 0), size - 1)
        left = math.floor(position)
        matrix[pixel, left] += 1 - (position - left)
        matrix[pixel, min(left + 1, size - 1)] += position - left
    return matrix


def enlarge(x: Tensor, state: Mapping[str, Tensor], options: UNet, key: str, factor: int) -> Tensor:
    """Multiply height and width and change the channels; the bilinear way interpolates first, then mixes channels."""
    n, _, h, w = x.shape
    if factor > 1 and options.upsampling == "transposed":
        weight = state[f"{key}.weight"]
        squares = torch.einsum("nchw,coij->nohiwj", x, weight)
        out = squares.reshape(n, weight.shape[1], h * factor, w * factor)
    else:
        if factor > 1:
            x = torch.einsum("ph,nchw,qw->ncpq", interpolation(h, factor), x, interpolation(w, factor))
            key += ".0"
        out = torch.einsum("oc,nchw->nohw", state[f"{key}.weight"][:, :, 0, 0], x)
    return out + state[f"{key}.bias"].view(1, -1, 1, 1)


def unet(images: Tensor, state: Mapping[str, Tensor], options: UNet) -> Tensor:
    """Give the logits of a network in eval mode."""
    h, w = images.shape[-2:]
    s, levels = options.stem_stride, options.downsamplings
    plain = [1, 1]
    inner = plain if options.block == "plain" else 2 * plain
    x = images
    if s > 1:
        x = images.new_zeros(*images.shape[:2], s * math.ceil(h / s), s * math.ceil(w / s))
        x[..., :h, :w] = images
        x = layers(x, state, options, "stem.block", [s])
    skips = {}
    for i in range(1, levels + 1):
        skips[i] = layers(x, state, options, f"encoder.{i}", plain if i == 1 else inner)
        x = pool(skips[i])
    x = layers(x, state, options, "bottleneck", inner)
    for i in range(levels, 0, -1):
        up = enlarge(x, state, options, f"decoder.{i}.up", 2)[..., : skips[i].shape[-2], : skips[i].shape[-1]]
        x = layers(torch.cat([skips[i], up], 1), state, options, f"decoder.{i}.block", inner)
    return enlarge(x, state, options, "head", s)[..., :h, :w]


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (50, 35)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"downsamplings": 5, "activation": "leaky_relu"},
        {"downsamplings": 1, "norm": "group", "base": 6},
        {"block": "depthwise", "activation": "silu"},
        {"stem_stride": 2},
        {"stem_stride": 4, "upsampling": "bilinear", "norm": "group"},
        {"upsampling": "bilinear", "block": "depthwise", "dropout": 0.5},
    ],
    ids=str,
)
def test_logits_equal_those_written_out_by_hand(options: dict[str, Any], size: tuple[int, int]) -> None:
    backbone = UNet(**{"base": 3, "downsamplings": 3, **options})
    torch.manual_seed(0)
    network = backbone.build(BackboneContext(in_channels=3, num_classes=5)).double()
    with torch.no_grad():  # no parameter or statistic at a value that hides its absence
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.normal_()
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(
            network.eval()(images), unet(images, network.state_dict(), backbone), rtol=1e-9, atol=1e-9
        )
