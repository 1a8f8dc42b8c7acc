"""Channel-wise distillation of logits, with its gradient, by Triton kernels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from kdseg_losses.fused_blocks import gradient_like, steps
from kdseg_losses.fused_channel import FusedChannelWise
from kdseg_losses.triton_tiles import EXACT, HOW, IGNORED, LOWEST, Tile, laid_out_as, multiply_, on, one_by_one

if TYPE_CHECKING:
    from torch import Tensor

    from kdseg.losses import LossCall, LossModule, Prediction

_MOST_CHANNELS_OF_A_TILE = 64


class TritonChannelWise(FusedChannelWise):
    """`FusedChannelWise` on a GPU. Nothing waits for the device. Logits in float64 go through the loss itself."""

    def __init__(self, module: LossModule, temperature: float) -> None:
        super().__init__(module, temperature)
        self.how = HOW

    def __call__(
        self, learner: Prediction, source: Prediction | None, target: Tensor, call: LossCall, scales: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Give the objective and the value, as `kdseg.losses.FusedLoss` says."""
        assert source is not None  # a distillation loss has one
        if torch.float64 in (learner.logits.dtype, source.logits.dtype):
            return one_by_one(self.modules, learner, source, target, call, scales)
        return super().__call__(learner, source, target, call, scales)

    multiply = staticmethod(multiply_)

    def compute(self, learner: Tensor, source: Tensor, target: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
        """Give the gradient and the value."""
        return channels_in_kernels(self.temperature, learner, source, target, scales)


def try_out(device: torch.device) -> None:
    """Compile and run the kernels on two pixels, and hold them to what those give by hand.

    Raises:
        ArithmeticError: another result came out.
    """
    learner = torch.tensor([0.0, math.log(3), 0.0, 0.0], device=device).view(1, 2, 1, 2)
    target, scales = learner.new_zeros(1, 1, 2, dtype=torch.int64), torch.ones(1, device=device, dtype=torch.float64)
    gradient, values = channels_in_kernels(1.0, learner, torch.zeros_like(learner), target, scales)
    multiply_(gradient, 2 * scales.sum())
    found, wanted = [*values.tolist(), *gradient.flatten().tolist()], [math.log(4 / 3) / 4, -0.25, 0.25, 0.0, 0.0]
    if not all(math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-6) for one, other in zip(found, wanted, strict=True)):
        raise ArithmeticError(f"the channel kernels give {found} instead of {wanted}")


def channels_in_kernels(
    temperature: float, learner: Tensor, source: Tensor, target: Tensor, scales: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute what `fused_channel.channels_in_blocks` does, on logits of up to 32 bits in a GPU's memory.

    One kernel gives each channel's greatest logit and sums in each tile of pixels; torch joins the tiles, in float64
    and a fixed order; another kernel writes the gradient.

    Args:
        temperature: T.
        learner: logits N×C×H×W, contiguous or channels_last.
        source: likewise, in any layout.
        target: N×H×W, `IGNORE_INDEX` where ignored.
        scales: the one scale, on the device.

    Returns:
        The gradient, in the learner's layout, and the one value, in float64.
    """
    source, target = laid_out_as(learner, source), target.contiguous()
    gradient, _ = gradient_like(learner)
    images, classes, *size = learner.shape
    tile = Tile.of(min(classes, _MOST_CHANNELS_OF_A_TILE), values=8192, values_of_a_thread=16)
    grid = triton.cdiv(math.prod(size), tile.pixels), images, triton.cdiv(classes, tile.classes)
    maps = learner, source, target
    layout = *steps(learner), classes, math.prod(size), temperature, tile.pixels, tile.classes
    parts = torch.empty(images, grid[0], 5, classes, device=learner.device)
    with on(learner):
        _parts[grid](*maps, parts, *layout, num_warps=tile.warps, **EXACT)
        values, facts = _joined(parts, temperature, scales)
        _slopes[grid](*maps, facts, gradient, *layout, num_warps=tile.warps, **EXACT)
    return gradient, values


def _joined(parts: Tensor, temperature: float, scales: Tensor) -> tuple[Tensor, Tensor]:
    """Join the tiles of each image.

    Args:
        parts: images x tiles x 5 x channels: greatest logit of the learner and of the source, and the three sums that
            `_parts` takes relative to those.
        temperature: T.
        scales: the one scale.

    Returns:
        The value, and for each image and channel both greatest logits and what e^(z / T) and e^(v / T), relative to
        those, are multiplied by in the gradient: images x 4 x channels in float32.
    """
    most, source_most, total, source_total, cross = parts.double().unbind(2)
    highest, source_highest = most.amax(1), source_most.amax(1)
    lift, source_lift = most - highest.unsqueeze(1), source_most - source_highest.unsqueeze(1)
    source_powers = (source_lift / temperature).exp()
    cross = (source_powers * (cross + source_total * (source_lift - lift))).sum(1)
    total = ((lift / temperature).exp() * total).sum(1)
    source_total = (source_powers * source_total).sum(1)
    empty = source_total == 0  # without a valid pixel
    divergence = (cross / source_total / temperature + (total / source_total).log()).masked_fill(empty, 0)
    times = [(scales * (temperature / parts.shape[3]) / one).masked_fill(empty, 0) for one in (total, source_total)]
    values = temperature**2 / parts.shape[3] * divergence.sum().unsqueeze(0)
    return values, torch.stack([highest, source_highest, *times], 1).float()


@triton.jit
def _parts(
    learner: tl.tensor,
    source: tl.tensor,
    target: tl.tensor,
    parts: tl.tensor,
    image_step: tl.tensor,
    class_step: tl.tensor,
    pixel_step: tl.tensor,
    classes: tl.tensor,
    pixels: tl.tensor,
    temperature: tl.tensor,
    tile: tl.constexpr,
    room: tl.constexpr,
) -> None:
    """Write what `_joined` takes of one tile, `tile` pixels x `room` for channels.

    Over the valid pixels of a channel, with z and v less their greatest: the sums of e^(z / T), of e^(v / T), and of
    the latter times v - z. A tile without one has `LOWEST` and three times 0.
    """
    image = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * tile + tl.arange(0, tile)
    channel = tl.program_id(2) * room + tl.arange(0, room)
    counts = _counts(target + image * pixels, pixel, pixels)
    known = channel < classes
    there = (pixel < pixels)[:, None] & known[None, :]
    places = image * image_step + pixel.to(tl.int64)[:, None] * pixel_step + channel.to(tl.int64)[None, :] * class_step
    z = tl.load(learner + places, mask=there, other=0.0).to(tl.float32)
    v = tl.load(source + places, mask=there, other=0.0).to(tl.float32)
    most = tl.max(tl.where(counts, z, LOWEST), 0)
    source_most = tl.max(tl.where(counts, v, LOWEST), 0)
    z = tl.where(counts, z - most[None, :], 0.0)
    v = tl.where(counts, v - source_most[None, :], 0.0)
    cooling = 1 / temperature
    powers = tl.where(counts, tl.exp(z * cooling), 0.0)
    source_powers = tl.where(counts, tl.exp(v * cooling), 0.0)

    place = parts + (image * tl.num_programs(0) + tl.program_id(0)) * 5 * classes + channel
    tl.store(place, most, mask=known)
    tl.store(place + classes, source_most, mask=known)
    tl.store(place + 2 * classes, tl.sum(powers, 0), mask=known)
    tl.store(place + 3 * classes, tl.sum(source_powers, 0), mask=known)
    tl.store(place + 4 * classes, tl.sum(source_powers * (v - z), 0), mask=known)


@triton.jit
def _slopes(
    learner: tl.tensor,
    source: tl.tensor,
    target: tl.tensor,
    facts: tl.tensor,
    gradient: tl.tensor,
    image_step: tl.tensor,
    class_step: tl.tensor,
    pixel_step: tl.tensor,
    classes: tl.tensor,
    pixels: tl.tensor,
    temperature: tl.tensor,
    tile: tl.constexpr,
    room: tl.constexpr,
) -> None:
    """Fill a tile of the gradient by the facts that `_joined` gives."""
    image = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * tile + tl.arange(0, tile)
    channel = tl.program_id(2) * room + tl.arange(0, room)
    counts = _counts(target + image * pixels, pixel, pixels)
    known = channel < classes
    there = (pixel < pixels)[:, None] & known[None, :]
    places = image * image_step + pixel.to(tl.int64)[:, None] * pixel_step + channel.to(tl.int64)[None, :] * class_step
    z = tl.load(learner + places, mask=there, other=0.0).to(tl.float32)
    v = tl.load(source + places, mask=there, other=0.0).to(tl.float32)
    place = facts + image * 4 * classes + channel
    most, source_most = tl.load(place, mask=known, other=0.0), tl.load(place + classes, mask=known, other=0.0)
    times = tl.load(place + 2 * classes, mask=known, other=0.0)
    source_times = tl.load(place + 3 * classes, mask=known, other=0.0)
    z = tl.where(counts, z - most[None, :], 0.0)
    v = tl.where(counts, v - source_most[None, :], 0.0)
    cooling = 1 / temperature
    slope = tl.exp(z * cooling) * times[None, :] - tl.exp(v * cooling) * source_times[None, :]
    tl.store(gradient + places, tl.where(counts, slope, 0.0), mask=there)


@triton.jit
def _counts(labels: tl.tensor, pixel: tl.tensor, pixels: tl.tensor) -> tl.tensor:
    """Tell which pixels count, as a column."""
    return (tl.load(labels + pixel, mask=pixel < pixels, other=IGNORED) != IGNORED)[:, None]
