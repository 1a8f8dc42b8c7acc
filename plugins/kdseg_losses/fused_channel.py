"""Channel-wise distillation on logits, with its gradient: block by block in plain PyTorch, or by Triton."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from attrs import frozen
from torch import Tensor

from kdseg.data.samples import IGNORE_INDEX
from kdseg_losses.fused import hand_over, multiply_, refuse_misfits
from kdseg_losses.fused_blocks import Block, Scratch, a_block_a_thread, blank_, blocks_of, gradient_like, hidden_in
from kdseg_losses.triton_probe import works

if TYPE_CHECKING:
    from kdseg.losses import FusedLoss, LossCall, LossModule, Prediction
    from kdseg_losses.channel import ChannelWiseLoss

_FEW = 64


def fuse_channels(loss: ChannelWiseLoss, *, device: torch.device, compiled: bool) -> FusedLoss | None:
    """Offer cwd on logits by blocks on the CPU, and by Triton where that works."""
    if device.type == "cpu":
        return FusedChannelWise(loss, loss.temperature)
    if compiled and works("kdseg_losses.fused_triton_channel", device):
        from kdseg_losses.fused_triton_channel import TritonChannelWise

        return TritonChannelWise(loss, loss.temperature)
    return None


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
        self.temperature = temperature

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
        other = source.logits.detach()
        return hand_over(
            learner.logits, scales, lambda logits: self.compute(logits, other, target, scales), self.multiply
        )

    multiply = staticmethod(multiply_)

    def compute(self, learner: Tensor, source: Tensor, target: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
        """Give the gradient and the value, of detached logits."""
        gradient, value = channels_in_blocks(self.temperature, learner, source, target, scales.item())
        return gradient, value.unsqueeze(0)


def channels_in_blocks(
    temperature: float, learner: Tensor, source: Tensor, target: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """Compute the sum over the images and the gradient of `scale` times it; arguments as `in_blocks` takes them."""
    gradient, classes = gradient_like(learner)
    scratch = Scratch(gradient, 3)
    total = torch.zeros((), dtype=torch.float64)
    with a_block_a_thread() as each:
        for image in range(len(learner)):
            one = slice(image, image + 1)
            if (target[one] == IGNORE_INDEX).all():
                gradient[one] = 0
                continue
            blocks = list(blocks_of(learner[one], source[one], gradient[one], target[one], classes))
            total += _Image(temperature, classes, blocks, scratch, each).fill(scale)
    return gradient, total


@frozen(eq=False)
class _Image:
    """One image on its way through the three passes."""

    temperature: float
    classes: int
    blocks: Sequence[Block]
    scratch: Scratch
    each: Callable[[Callable[[Block], Tensor], Sequence[Block]], list[Tensor]]

    def fill(self, scale: float) -> Tensor:
        """Fill the gradient and give the value."""
        most = torch.stack(self.each(self._greatest, self.blocks)).amax(0)
        total, other_total, cross = torch.stack(self.each(lambda block: self._sums(block, most), self.blocks)).sum(0)
        t, channels = self.temperature, total.numel()
        times = (scale * t / channels / torch.stack([total, other_total])).to(most.dtype)
        self.each(lambda block: self._slope(block, most, times), self.blocks)
        divergence = cross / other_total / t + (total / other_total).log()
        return torch.as_tensor(t**2 / channels * divergence.sum())

    def _greatest(self, block: Block) -> Tensor:
        """Give each channel's greatest logit among the block's valid pixels, of learner and source."""
        values, *room = self.scratch.fitting(block)
        hidden, found = hidden_in(block), []
        for logits in (block.learner, block.source):
            rest = values.copy_(logits).index_fill_(1 - self.classes, hidden, -math.inf)
            while self.classes == 1 and len(rest) > _FEW:  # by halves: torch is slow along a first dimension
                half = (len(rest) + 1) // 2
                room.reverse()
                rest = torch.maximum(rest[:half], rest[-half:], out=room[0][:half])
            found.append(rest.amax(1 - self.classes, keepdim=True))
        return torch.stack(found)

    def _sums(self, block: Block, most: Tensor) -> Tensor:
        """Give each channel's sums of e^(z / T), of e^(v / T), and of the latter times v - z, less their maxima.

        The first is kept in the gradient's place, unless that is too coarse.
        """
        _, other, product = self.scratch.fitting(block)
        shifted = self._shifted(block, most[0])
        torch.sub(block.source.to(other.dtype), most[1], out=other)
        torch.sub(other, shifted, out=product)
        powers = (shifted, other.mul_(1 / self.temperature).exp_(), product)
        shifted.mul_(1 / self.temperature).exp_()
        product.mul_(other)
        hidden, along = hidden_in(block), 1 - self.classes
        return torch.stack([blank_(one, hidden, along).sum(along, keepdim=True) for one in powers]).double()

    def _slope(self, block: Block, most: Tensor, times: Tensor) -> Tensor:
        """Turn what the gradient's place holds into the gradient."""
        _, other, _ = self.scratch.fitting(block)
        torch.sub(block.source.to(other.dtype), most[1], out=other).mul_(1 / self.temperature).exp_().mul_(times[1])
        powers = block.gradient
        if powers.dtype != other.dtype:
            powers = self._shifted(block, most[0]).mul_(1 / self.temperature).exp_()
        slope = blank_(powers.mul_(times[0]).sub_(other), hidden_in(block), 1 - self.classes)
        return slope if slope is block.gradient else block.gradient.copy_(slope)

    def _shifted(self, block: Block, most: Tensor) -> Tensor:
        """Give the learner's logits less their maxima, in the gradient's place where its type allows."""
        shifted, *_ = self.scratch.fitting(block)
        place = block.gradient if block.gradient.dtype == shifted.dtype else shifted
        return torch.sub(block.learner.to(shifted.dtype), most, out=place)
