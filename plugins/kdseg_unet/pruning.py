"""A narrower UNet made of the channels of a wider one that matter most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from kdseg import KdsegError
from kdseg_unet.model import UNetModule

if TYPE_CHECKING:
    from torch import Tensor

    Pair = tuple[nn.Module, nn.Module]


@torch.no_grad()
def take_channels(wide: nn.Module, narrow: nn.Module) -> None:
    """Fill a narrow UNet with the channels of a wide one whose filters are largest.

    A channel matters by the sum of its filter's absolute weights (Li et al. 2017, arXiv:1608.08710), times the scale of
    its normalisation (Liu et al. 2017, arXiv:1708.06519). Which channels are left is chosen anew for each convolution;
    the next one then reads these alone.

    Args:
        wide: a trained UNet.
        narrow: one of the same depth, stem, blocks and decoder, with at most as many channels in each convolution.

    Raises:
        KdsegError: they differ in more than their widths.
    """
    _refuse_unlike(wide, narrow)
    assert isinstance(wide, UNetModule)
    assert isinstance(narrow, UNetModule)
    kept: Tensor = torch.arange(3)
    if not isinstance(wide.stem, nn.Identity):
        kept = _sequence((wide.stem.block, narrow.stem.block), kept)  # type: ignore[arg-type] # the stem is one of ours
    skips: dict[str, Tensor] = {}
    for level in wide.encoder:
        skips[level] = kept = _sequence((wide.encoder[level], narrow.encoder[level]), kept)
    kept = _sequence((wide.bottleneck, narrow.bottleneck), kept)
    for level in wide.decoder:
        ours, theirs = narrow.decoder[level], wide.decoder[level]
        risen = _map((theirs.up, ours.up), kept)  # type: ignore[arg-type] # a decoder's stage is one of ours
        first = next(theirs.block.children())  # type: ignore[union-attr] # likewise
        joined = torch.cat([skips[level], first.in_channels - _out_channels(theirs.up) + risen])  # type: ignore[operator, arg-type] # likewise
        kept = _sequence((theirs.block, ours.block), joined)  # type: ignore[arg-type] # likewise
    _map((wide.head, narrow.head), kept)


def _refuse_unlike(wide: nn.Module, narrow: nn.Module) -> None:
    theirs, ours = wide.state_dict(), narrow.state_dict()
    if not isinstance(wide, UNetModule) or theirs.keys() != ours.keys():
        raise KdsegError(
            "the wider network differs in more than its width: depth, stem, blocks, decoder, normalisation"
        )
    if _activations(wide) != _activations(narrow):
        told = ", ".join(sorted(_activations(wide) ^ _activations(narrow)))
        raise KdsegError(f"the wider network's activation is another one ({told}); they must be alike")
    for name, tensor in ours.items():
        here, there = [*tensor.shape], [*theirs[name].shape]
        if here[2:] != there[2:]:
            raise KdsegError(f"{name}: its kernel is {here[2:]} here and {there[2:]} there; they must be alike")
        if any(few > many for few, many in zip(here, there, strict=True)):
            raise KdsegError(f"{name} is {here} here and {there} there; this network must not be the wider one")


def _activations(network: nn.Module) -> set[str]:
    """Give the kinds of parts without weights; which ones have weights, the tensors' names tell."""
    plain = [part for part in network.modules() if not [*part.children()] and not [*part.parameters(recurse=False)]]
    return {type(part).__name__ for part in plain} - {"Dropout2d"}


def _sequence(pair: Pair, kept: Tensor) -> Tensor:
    """Fill convolutions, each followed by its normalisation, and give which of the last one's channels are left."""
    wide, narrow = (list(module.children()) for module in pair)
    for place, layer in enumerate(wide):
        if not isinstance(layer, nn.Conv2d):
            continue
        norm, ours = wide[place + 1], narrow[place + 1]
        scale = norm.weight.abs()  # type: ignore[operator] # of either normalisation
        kept = _convolution((layer, narrow[place]), kept, scale)
        for name, tensor in ours.state_dict().items():
            theirs = norm.state_dict()[name]
            tensor.copy_(theirs if theirs.ndim == 0 else theirs[kept])
    return kept


def _convolution(pair: Pair, kept: Tensor, scale: Tensor | None) -> Tensor:
    """Fill a convolution that reads some channels, and give which of its own are left, in their order."""
    wide, narrow = pair
    assert isinstance(wide, nn.Conv2d)
    assert isinstance(narrow, nn.Conv2d)
    if wide.groups > 1:  # each channel by itself: those that come in go out
        narrow.weight.copy_(wide.weight[kept])
        return kept
    left = _largest(wide.weight.abs().sum((1, 2, 3)), scale, narrow.out_channels)
    narrow.weight.copy_(wide.weight[left][:, kept])
    if wide.bias is not None and narrow.bias is not None:
        narrow.bias.copy_(wide.bias[left])
    return left


def _map(pair: Pair, kept: Tensor) -> Tensor:
    """Fill what multiplies height and width, and give which of its channels are left."""
    wide, narrow = pair
    if isinstance(wide, nn.Sequential):  # a convolution, then an interpolation
        return _convolution((wide[0], narrow[0]), kept, None)  # type: ignore[index] # both are
    if isinstance(wide, nn.Conv2d):
        return _convolution(pair, kept, None)
    assert isinstance(wide, nn.ConvTranspose2d)
    assert isinstance(narrow, nn.ConvTranspose2d)
    left = _largest(wide.weight.abs().sum((0, 2, 3)), None, narrow.out_channels)
    narrow.weight.copy_(wide.weight[kept][:, left])
    assert wide.bias is not None
    assert narrow.bias is not None
    narrow.bias.copy_(wide.bias[left])
    return left


def _largest(sizes: Tensor, scale: Tensor | None, count: int) -> Tensor:
    importance = sizes if scale is None else sizes * scale
    return importance.topk(count).indices.sort().values


def _out_channels(up: nn.Module) -> int:
    convolution = up[0] if isinstance(up, nn.Sequential) else up
    return int(convolution.out_channels)  # type: ignore[arg-type] # a convolution's
