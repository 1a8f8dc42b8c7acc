"""What the Triton kernels share: tiles, launching, and scaling a gradient. Importing it needs Triton."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from attrs import frozen

from kdseg.data.samples import IGNORE_INDEX

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor

    from kdseg.losses import LossCall, LossModule, Prediction

HOW = "by a Triton kernel"
IGNORED = tl.constexpr(IGNORE_INDEX)
LOG_2_OF_E = tl.constexpr(math.log2(math.e))
LOWEST = tl.constexpr(-1e35)
"""Below any logit. Finite over any temperature, so that the difference of two is a number; its exponential is 0."""

EXACT = {"enable_fp_fusion": False}
"""For the launch: with a * b - c * d in two roundings, not three, the gradient between equals would not be 0."""

_LEAST_PIXELS = 16
_MOST_WARPS = 16
_THREADS_OF_A_WARP = 32
_BLOCK = 4096


@frozen
class Tile:
    """The part of the logits that one program holds: `pixels` x `classes`, both powers of two."""

    pixels: int
    classes: int
    warps: int

    @classmethod
    def of(cls, classes: int, *, values: int, values_of_a_thread: int) -> Tile:
        """Give the tile with all classes, or more pixels than that where reads would be too narrow.

        Args:
            classes: how many there are.
            values: about how many a tile holds.
            values_of_a_thread: of each map; as many as its registers take.
        """
        room = triton.next_power_of_2(classes)
        pixels = max(_LEAST_PIXELS, values // room)
        return cls(pixels, room, min(_MOST_WARPS, max(1, pixels * room // (values_of_a_thread * _THREADS_OF_A_WARP))))


def on(values: Tensor) -> AbstractContextManager[object]:
    """Make the device of these values the one that Triton launches on."""
    return torch.cuda.device(values.device) if values.is_cuda else nullcontext()


def laid_out_as(learner: Tensor, source: Tensor) -> Tensor:
    """Give the source's logits in the learner's memory format, copied where that is another.

    Read in two ways, their sums would be added in two orders, and equal predictions would not diverge by exactly 0.
    """
    return source.contiguous(memory_format=torch.contiguous_format if learner.is_contiguous() else torch.channels_last)


def one_by_one(
    modules: Sequence[LossModule],
    learner: Prediction,
    source: Prediction | None,
    target: Tensor,
    call: LossCall,
    scales: Tensor,
) -> tuple[Tensor, Tensor]:
    """Do as `kdseg.losses.FusedLoss` says by the losses themselves, for logits that no kernel takes."""
    values = torch.stack([module(learner, source, target, call) for module in modules])
    return (scales * values).sum(), values.detach()


def multiply_(gradient: Tensor, factor: Tensor) -> None:
    """Multiply a dense gradient by a scalar on its device; where that is 1, neither read nor write it.

    Without a gradient scaler it is 1. Only the device knows, and asking it would make the processor wait.
    """
    with on(gradient):
        _multiply[(triton.cdiv(gradient.numel(), _BLOCK),)](gradient, factor, gradient.numel(), _BLOCK)


@triton.jit
def _multiply(values: tl.tensor, factor: tl.tensor, number: tl.tensor, block: tl.constexpr) -> None:
    times = tl.load(factor).to(tl.float32)
    if times != 1.0:
        place = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
        inside = place < number
        tl.store(values + place, tl.load(values + place, mask=inside).to(tl.float32) * times, mask=inside)
