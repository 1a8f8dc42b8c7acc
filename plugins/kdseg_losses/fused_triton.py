"""Cross-entropy with the labels and divergence from a source, with their gradient, by a Triton kernel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from kdseg_losses.fused import FusedPixels
from kdseg_losses.fused_blocks import Pixels, dense, gradient_like, steps
from kdseg_losses.triton_tiles import (
    EXACT,
    HOW,
    IGNORED,
    LOG_2_OF_E,
    LOWEST,
    Tile,
    multiply_,
    on,
    one_by_one,
)

if TYPE_CHECKING:
    from torch import Tensor

    from kdseg.losses import LossCall, Prediction
    from kdseg_losses.logit import PixelKLLoss
    from kdseg_losses.supervised import CrossEntropyLoss

_MOST_CLASSES = 512  # with 16 pixels, what registers and shared memory hold
_MOST_VALUES = 2**31 - 1  # of an image: places in it are 32-bit numbers


class TritonPixels(FusedPixels):
    """`FusedPixels` on a GPU. Nothing waits for the device: the kernel itself reads the scales.

    Logits in float64, which no run has there, and sizes that no kernel is made for go through the losses one by one.
    """

    def __init__(self, divergence: PixelKLLoss, labels: CrossEntropyLoss | None) -> None:
        super().__init__(divergence, labels, compiled=True)
        self.how = HOW

    def __call__(
        self, learner: Prediction, source: Prediction | None, target: Tensor, call: LossCall, scales: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Give the objective and the values, as `kdseg.losses.FusedLoss` says."""
        assert source is not None  # a distillation loss has one
        logits = learner.logits
        fits = logits.shape[1] <= _MOST_CLASSES and logits[0].numel() <= _MOST_VALUES
        if not fits or torch.float64 in (logits.dtype, source.logits.dtype):
            return one_by_one(self.modules, learner, source, target, call, scales)
        return super().__call__(learner, source, target, call, scales)

    multiply = staticmethod(multiply_)

    def compute(self, learner: Tensor, source: Tensor, target: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
        """Give the gradient and the values."""
        gradient, sums = in_one_kernel(self.pixels(), learner, source, target, scales)
        return gradient, sums[: len(self.modules)]


def try_out(device: torch.device) -> None:
    """Compile and run the kernels on one pixel, and hold them to what that gives by hand.

    Raises:
        ArithmeticError: another result came out.
    """
    learner = torch.tensor([0.0, math.log(3)], device=device).view(1, 2, 1, 1)
    target, scales = learner.new_zeros(1, 1, 1, dtype=torch.int64), torch.ones(2, device=device, dtype=torch.float64)
    pixels = Pixels(temperature=1.0, with_labels=True)
    gradient, sums = in_one_kernel(pixels, learner, torch.zeros_like(learner), target, scales)
    multiply_(gradient, scales.sum())
    found, wanted = [*sums.tolist(), *gradient.flatten().tolist()], [math.log(4 / 3) / 2, math.log(4), -2.0, 2.0]
    if not all(math.isclose(one, other, rel_tol=1e-4) for one, other in zip(found, wanted, strict=True)):
        raise ArithmeticError(f"the pixel kernel gives {found} instead of {wanted}")


def in_one_kernel(
    pixels: Pixels, learner: Tensor, source: Tensor, target: Tensor, scales: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute what `fused_blocks.in_blocks` does, on logits of up to 32 bits in a GPU's memory.

    Each tile of pixels has its own sums, added by torch in a fixed order: a call is reproducible to the bit.

    Args:
        pixels: what to compute.
        learner: logits N×C×H×W, contiguous or channels_last.
        source: likewise, in any layout.
        target: N×H×W class indices, `IGNORE_INDEX` where ignored. Another index that is no class makes the
            cross-entropy NaN.
        scales: what the sums are multiplied by, on the device; one, or two with labels.

    Returns:
        The gradient at the learner's logits, as `in_blocks` gives it, and the sums of divergence and entropy, in
        float64; without labels the latter is 0.
    """
    source, target = dense(source), target.contiguous()
    gradient, _ = gradient_like(learner)
    images, classes, *size = learner.shape
    tile = Tile.of(classes, values=4096, values_of_a_thread=32)
    tiles = triton.cdiv(math.prod(size), tile.pixels)
    sums = torch.zeros(images, tiles, 2, dtype=torch.float64, device=learner.device)
    with on(learner):
        _pixels[tiles, images](
            learner,
            source,
            target,
            None if pixels.weights is None else pixels.weights.float().contiguous(),
            scales,
            gradient,
            sums,
            *steps(learner),
            *steps(source),
            steps(learner)[1],
            classes,
            math.prod(size),
            pixels.temperature,
            pixels.with_labels,
            pixels.smoothing,
            tile.pixels,
            tile.classes,
            num_warps=tile.warps,
            **EXACT,
        )
    return gradient, sums.sum((0, 1))


# Were a step known to be 1 where logits are read, Triton would spread a pixel's classes over threads, and most of the
# work would be to add what these found. Now a thread has whole pixels, where they fit, and caches mend the order.
@triton.jit(do_not_specialize=["class_step", "pixel_step", "source_class_step", "source_pixel_step"])
def _pixels(
    learner: tl.tensor,
    source: tl.tensor,
    target: tl.tensor,
    weights: tl.tensor | None,
    scales: tl.tensor,
    gradient: tl.tensor,
    sums: tl.tensor,
    image_step: tl.tensor,
    class_step: tl.tensor,
    pixel_step: tl.tensor,
    source_image_step: tl.tensor,
    source_class_step: tl.tensor,
    source_pixel_step: tl.tensor,
    written_class_step: tl.tensor,
    classes: tl.tensor,
    pixels: tl.tensor,
    temperature: tl.tensor,
    with_labels: tl.constexpr,
    smoothing: tl.constexpr,
    tile: tl.constexpr,
    room: tl.constexpr,
) -> None:
    """Fill a tile of the gradient, `room` for the classes x `tile` pixels, and write its two sums; see `Pixels`.

    The last step is the learner's `class_step`, known to the compiler where it is 1: then neighbours write neighbours.
    """
    image = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * tile + tl.arange(0, tile)
    each = tl.arange(0, room)
    inside, known = pixel < pixels, each < classes
    label = tl.load(target + image * pixels + pixel, mask=inside, other=IGNORED).to(tl.int32)
    counts = inside & (label != IGNORED)
    there = inside[None, :] & known[:, None]
    learner += image * image_step
    source += image * source_image_step
    z, most = _shifted(learner + pixel[None, :] * pixel_step + each[:, None] * class_step, there, counts, known)
    source_places = pixel[None, :] * source_pixel_step + each[:, None] * source_class_step
    v, _ = _shifted(source + source_places, there, counts, known)

    cooling = LOG_2_OF_E / temperature
    powers, source_powers = tl.exp2(z * cooling), tl.exp2(v * cooling)
    total, source_total = tl.sum(powers, 0), tl.sum(source_powers, 0)
    cross = tl.sum(source_powers * (v - z), 0)
    divergence = temperature * (cross / source_total + temperature * tl.log(total / source_total))
    scale = tl.load(scales).to(tl.float32) * temperature
    slope = powers * (scale / total)[None, :] - source_powers * (scale / source_total)[None, :]
    own_sums = sums + 2 * (image * tl.num_programs(0) + tl.program_id(0))
    tl.store(own_sums, tl.sum(tl.where(counts, divergence, 0.0), 0).to(tl.float64))

    if with_labels:
        scale = tl.load(scales + 1).to(tl.float32)
        labelled = counts & (label >= 0) & (label < classes)
        found = tl.load(learner + pixel * pixel_step + label * class_step, mask=labelled, other=0.0)
        found = found.to(tl.float32) - most
        own = 1.0 if weights is None else tl.load(weights + label, mask=labelled, other=0.0)
        own = tl.where(labelled, own * (1 - smoothing), float("nan"))
        powers = tl.exp2(z * LOG_2_OF_E)
        total = tl.sum(powers, 0)
        entropy = own * (tl.log(total) - found)
        pull = tl.where(each[:, None] == label[None, :], own[None, :], 0.0)
        if smoothing > 0:
            soft = known.to(tl.float32) if weights is None else tl.load(weights + each, mask=known, other=0.0)
            soft = soft * (smoothing / classes)
            all_soft = tl.sum(soft, 0)
            entropy += all_soft * tl.log(total) - tl.sum(soft[:, None] * z, 0)
            pull += soft[:, None]
            own += all_soft
        slope += scale * (powers * (own / total)[None, :] - pull)
        tl.store(own_sums + 1, tl.sum(tl.where(counts, entropy, 0.0), 0).to(tl.float64))
    places = image * image_step + pixel[None, :] * pixel_step + each[:, None] * written_class_step
    tl.store(gradient + places, tl.where(counts[None, :], slope, 0.0), mask=there)


@triton.jit
def _shifted(places: tl.tensor, there: tl.tensor, counts: tl.tensor, known: tl.tensor) -> tuple[tl.tensor, tl.tensor]:
    """Read logits less the greatest of their pixel, and that; 0 where a pixel doesn't count.

    Beyond the classes they are `LOWEST`.
    """
    logits = tl.load(places, mask=there, other=float("-inf")).to(tl.float32)
    logits = tl.where(counts[None, :], logits, 0.0)
    most = tl.max(logits, 0)
    return tl.where(known[:, None], logits - most[None, :], LOWEST), most
