"""Channel-wise distillation on logits: value and gradient, block by block in plain PyTorch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from kdseg_losses.fused import hand_over, refuse_misfits
from kdseg_losses.fused_blocks import blank_, blocks_of, buffers, fitting, hidden_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from kdseg.losses import LossCall, LossModule, Prediction
    from kdseg_losses.fused_blocks import Block

_PIXELS_IN_A_GROUP = 128


class FusedChannelWise:
    """Channel-wise distillation of the logits themselves, on the CPU.

    With phi the softmax of a channel z_c / T over the valid pixels i of an image, an image's loss is
    T^2 / C sum over c and i of phi(v)_ci log(phi(v)_ci / phi(z)_ci); its gradient at z_ci is
    T / C (phi(z)_ci - phi(v)_ci). Three passes over blocks of pixels: each channel's greatest logit, its sums, the
    gradient. As with `kdseg_losses.fused.FusedPixels`, the gradient is all that is kept.

    Args:
        module: what it stands for.
        temperature: T.
    """

    how = "block by block"

    def __init__(self, module: LossModule, temperature: float) -> None:
        self.modules: Sequence[LossModule] = (module,)
        self._temperature = temperature

    def __call__(
        self,
        learner: Prediction,
        source: Prediction | None,
        target: Tensor,
        call: LossCall,  # noqa: ARG002 (the loss reads nothing of it)
        scales: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Give the objective and the value, as `kdseg.losses.FusedLoss` says."""
        assert source is not None  # a distillation loss has one
        refuse_misfits(learner.logits, source.logits, target)
        other, (scale,) = source.logits.detach(), scales.tolist()

        def work(dense: Tensor) -> tuple[Tensor, Tensor]:
            gradient, value = channels_in_blocks(self._temperature, dense, other, target, scale)
            return gradient, value.unsqueeze(0)

        return hand_over(learner.logits, scales, work)


def channels_in_blocks(
    temperature: float, learner: Tensor, source: Tensor, target: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """Compute the sum over the images and the gradient of `scale` times it; arguments as `in_blocks` takes them."""
    gradient, scratch, classes = buffers(learner, 3)
    total = torch.zeros((), dtype=torch.float64)
    for image in range(len(learner)):
        one = slice(image, image + 1)
        blocks = list(blocks_of(learner[one], source[one], gradient[one], target[one], classes))
        hidden = [hidden_in(block) for block in blocks]
        if sum(map(len, hidden)) == target[one].numel():
            gradient[one] = 0
        else:
            total += _image(temperature, scale, list(zip(blocks, hidden, strict=True)), classes, scratch)
    return gradient, total


def _image(t: float, scale: float, blocks: Sequence[tuple[Block, Tensor]], classes: int, scratch: Tensor) -> Tensor:
    """Fill an image's gradient and give its value.

    Between the passes the gradient's place holds e^(z / T), unless its type is too coarse.
    """
    dtype, along = scratch.dtype, 1 - classes
    keeps = blocks[0][0].gradient.dtype == dtype
    most = _greatest([(block.learner, hidden) for block, hidden in blocks], along, scratch)
    other_most = _greatest([(block.source, hidden) for block, hidden in blocks], along, scratch)
    parts = []
    for block, hidden in blocks:
        shifted, other, product = fitting(scratch, block)
        torch.sub(block.learner.to(dtype), most, out=shifted)
        torch.sub(block.source.to(dtype), other_most, out=other)
        torch.sub(other, shifted, out=product)
        powers = torch.mul(shifted, 1 / t, out=block.gradient if keeps else shifted).exp_()
        product.mul_(other.mul_(1 / t).exp_())
        parts.append([_sum(blank_(values, hidden, along), along) for values in (powers, other, product)])
    total, other_total, cross = (torch.stack(column).sum(0) for column in zip(*parts, strict=True))
    channels = total.numel()
    times, other_times = ((scale * t / channels / values).to(dtype) for values in (total, other_total))
    for block, hidden in blocks:
        shifted, other, _ = fitting(scratch, block)
        torch.sub(block.source.to(dtype), other_most, out=other).mul_(1 / t).exp_().mul_(other_times)
        powers = block.gradient
        if not keeps:
            powers = torch.sub(block.learner.to(dtype), most, out=shifted).mul_(1 / t).exp_()
        blank_(powers.mul_(times).sub_(other), hidden, along)
        if not keeps:
            block.gradient.copy_(powers)
    divergence: Tensor = cross / other_total / t + (total / other_total).log()
    return t**2 / channels * divergence.sum()


def _greatest(parts: Sequence[tuple[Tensor, Tensor]], along: int, scratch: Tensor) -> Tensor:
    """Give each channel's greatest logit over an image's valid pixels."""
    found = []
    for logits, hidden in parts:
        values = scratch[0, : logits.numel()].view(logits.shape).copy_(logits).index_fill_(along, hidden, -math.inf)
        while along == 0 and len(values) > _PIXELS_IN_A_GROUP:  # by halves: torch is slow along a first dimension
            half = (len(values) + 1) // 2
            values = torch.maximum(values[:half], values[-half:])
        found.append(values.amax(along, keepdim=True))
    return torch.stack(found).amax(0)


def _sum(values: Tensor, along: int) -> Tensor:
    """Add up a block's pixels, to float64.

    Where a pixel's channels lie together, group by group: torch then gives whole groups to its threads, and no sum
    depends on their number.
    """
    if along == 0:
        whole = len(values) // _PIXELS_IN_A_GROUP * _PIXELS_IN_A_GROUP
        groups = values[:whole].view(-1, _PIXELS_IN_A_GROUP, values.shape[1]).sum(1)
        values = torch.cat([groups, values[whole:].sum(0, keepdim=True)])
    return values.sum(along, keepdim=True, dtype=torch.float64)
