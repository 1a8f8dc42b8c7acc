"""A loaded network made as fast as PyTorch runs it, without changing what it says."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from torch import Tensor

Precision = Literal["fp32", "bf16"]
_PROBE = (2, 3, 64, 96)
"""Images on which a folded network is held against itself."""
_TOLERANCE = 1e-3
"""Of its logits, as a share of the largest: folding rounds otherwise, and no more."""
_SIZES = 8
"""Shapes of images whose graphs are kept."""


def optimise(network: nn.Module, device: torch.device, precision: Precision, *, compiled: bool) -> nn.Module:
    """Fold batch normalisation, choose the precision, and have a GPU replay all kernels at once.

    Args:
        network: in eval mode, on the CPU in float32; it is changed.
        device: where it will run.
        precision: of its weights and features.
        compiled: let torch.compile have it: some ten seconds at the first image of a size.

    Raises:
        KdsegError: its device does not calculate in bf16, or torch.compile has no compiler.
    """
    fold_batch_norms(network)
    if precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise KdsegError("precision='bf16': this GPU does not calculate in it; leave precision out")
    network.to(device, torch.bfloat16 if precision == "bf16" else torch.float32, memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stub lacks it
    if compiled:
        if device.type == "cpu":
            _refuse_without_compiler()
        network.compile()
    return Graphed(network) if device.type == "cuda" and not compiled else network


def _refuse_without_compiler() -> None:
    """Refuse torch.compile where it would fail at the first image.

    Raises:
        KdsegError: there is no C++ compiler.
    """
    from torch._inductor import cpp_builder, exc

    try:
        cpp_builder.get_cpp_compiler()
    except exc.InvalidCxxCompiler as error:
        raise KdsegError(
            "torch.compile finds no C++ compiler: install g++, or name one by the variable CXX; without it leave "
            "compile=True, or the runtime compiled, out"
        ) from error


@torch.no_grad()
def fold_batch_norms(network: nn.Module) -> int:
    """Make each convolution and the batch normalisation that follows it in a sequence one convolution.

    Where the network then says something else, because it calls parts of a sequence by themselves, nothing is changed.

    Args:
        network: in eval mode.

    Returns:
        How many there were.

    Source: the affine map of a normalisation with fixed statistics, Ioffe and Szegedy 2015 (1502.03167), section 3.1.
    """
    parts = [
        (sequence, place, convolution, norm)
        for sequence in network.modules()
        if isinstance(sequence, nn.Sequential)
        for place, (convolution, norm) in enumerate(pairwise(sequence))
        if isinstance(convolution, nn.Conv2d)
        and isinstance(norm, nn.BatchNorm2d)
        and norm.running_mean is not None  # else it takes the statistics of each batch
    ]
    if not parts:
        return 0
    images = torch.rand(_PROBE, generator=torch.Generator().manual_seed(0))
    before = _logits(network(images))
    for sequence, place, convolution, norm in parts:
        sequence[place], sequence[place + 1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    after = _logits(network(images))
    if (after - before).abs().max() <= _TOLERANCE * before.abs().max():
        return len(parts)
    for sequence, place, convolution, norm in parts:
        sequence[place], sequence[place + 1] = convolution, norm
    return 0


def _logits(output: Tensor | dict[str, Tensor]) -> Tensor:
    return output["logits"] if isinstance(output, dict) else output


class Graphed(nn.Module):
    """A network on a GPU whose kernels for one shape of images are recorded once and then launched together."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._graphs: dict[tuple[int, ...], tuple[Tensor, torch.cuda.CUDAGraph, Tensor]] = {}

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Give the logits of images N×3×H×W."""
        shape = tuple(images.shape)
        if shape not in self._graphs:
            if len(self._graphs) == _SIZES:
                del self._graphs[next(iter(self._graphs))]
            self._graphs[shape] = self._record(images)
        seen, graph, logits = self._graphs[shape]
        seen.copy_(images)
        graph.replay()
        return logits.clone()

    def _record(self, images: Tensor) -> tuple[Tensor, torch.cuda.CUDAGraph, Tensor]:
        """Run it some times on a stream of its own, as CUDA asks for, then record it."""
        seen = images.clone(memory_format=torch.preserve_format)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call] # of torch
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.network(seen)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = _logits(self.network(seen))
        return seen, graph, logits
