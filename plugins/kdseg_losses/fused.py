"""Cross-entropy with the labels and divergence from a source at once: value and gradient from one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.function import once_differentiable

from kdseg.losses import full_precision
from kdseg_losses.fused_blocks import Pixels, Scales, dense, in_blocks
from kdseg_losses.fused_compiled import compilable, in_one_pass
from kdseg_losses.supervised import CrossEntropyLoss
from kdseg_losses.triton_probe import works

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from kdseg.losses import FusedLoss, LossCall, LossModule, Prediction
    from kdseg_losses.logit import PixelKLLoss


def fuse_pixels(
    divergence: PixelKLLoss, others: Sequence[LossModule], *, device: torch.device, compiled: bool
) -> FusedLoss | None:
    """Offer one pass for a pixel_kl, together with the first cross_entropy of the others if there is one.

    On the CPU, and by Triton where that works. Not for another direction than the forward one, nor for standardised
    logits.
    """
    if divergence.direction != "forward" or divergence.standardise:
        return None
    labels = next((other for other in others if type(other) is CrossEntropyLoss), None)
    if device.type == "cpu":
        return FusedPixels(divergence, labels, compiled=compiled and compilable())
    if compiled and works("kdseg_losses.fused_triton", device):
        from kdseg_losses.fused_triton import TritonPixels

        return TritonPixels(divergence, labels)
    return None


def multiply_(gradient: Tensor, factor: Tensor) -> None:
    """Multiply a gradient on the CPU by a scalar, where that is not 1."""
    if factor.item() != 1:
        gradient.mul_(factor.to(gradient.dtype))


class FusedPixels:
    """pixel_kl, with cross_entropy or without, of the same logits. `Pixels` has the formulas.

    The plain losses keep about six maps of the logits' size between forward and backward. Here the gradient, of the
    logits' size, is all that is kept; it is computed in the forward pass and handed over in the backward pass, which
    can therefore run once.
    """

    def __init__(self, divergence: PixelKLLoss, labels: CrossEntropyLoss | None, *, compiled: bool) -> None:
        self.modules: Sequence[LossModule] = (divergence,) if labels is None else (divergence, labels)
        self.how = "in one compiled pass" if compiled else "block by block"
        self._temperature = divergence.temperature
        self._labels = labels
        self._compiled = compiled

    def __call__(
        self,
        learner: Prediction,
        source: Prediction | None,
        target: Tensor,
        call: LossCall,  # noqa: ARG002 (neither loss reads it)
        scales: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Give the objective and the values, as `kdseg.losses.FusedLoss` says.

        Raises:
            ValueError: the shapes of logits, source and target don't fit together.
        """
        assert source is not None  # a distillation loss has one
        refuse_misfits(learner.logits, source.logits, target)
        other = source.logits.detach()
        return hand_over(
            learner.logits, scales, lambda logits: self.compute(logits, other, target, scales), self.multiply
        )

    multiply = staticmethod(multiply_)

    def compute(self, learner: Tensor, source: Tensor, target: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
        """Give the gradient and the values, of detached logits."""
        factors = Scales(*scales.tolist(), *[0.0] * (2 - len(self.modules)))
        compute = in_one_pass if self._compiled and learner.dtype == source.dtype == torch.float32 else in_blocks
        gradient, sums = compute(self.pixels(), learner, source, target, factors)
        return gradient, torch.stack(sums[: len(self.modules)])

    def pixels(self) -> Pixels:
        """Tell what is computed at each pixel."""
        return Pixels(
            temperature=self._temperature,
            with_labels=self._labels is not None,
            weights=None if self._labels is None else self._labels.weights,
            smoothing=0.0 if self._labels is None else self._labels.label_smoothing,
        )


def hand_over(
    logits: Tensor,
    scales: Tensor,
    work: Callable[[Tensor], tuple[Tensor, Tensor]],
    multiply: Callable[[Tensor, Tensor], None],
) -> tuple[Tensor, Tensor]:
    """Make values and a gradient, found together, what autograd takes for an objective.

    Args:
        logits: the learner's, N×C×H×W.
        scales: what each value is multiplied by in the objective.
        work: given the logits, detached and contiguous or channels_last, gives the gradient of the objective in the
            same layout, and the values in float64. Nothing else may hold that gradient.
        multiply: multiplies a gradient in place by a scalar on its device.

    Returns:
        The objective, whose backward pass may run once, and the values; in the logits' type, float32 for halves.
    """
    objective, values = _HandOver.apply(logits, scales, work, multiply)  # type: ignore[no-untyped-call]  # torch gives it no types
    return objective, values


class _HandOver(torch.autograd.Function):
    """Keeps a gradient until the backward pass, and not a moment longer: accumulating it then needs no copy."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        scales: Tensor,
        work: Callable[[Tensor], tuple[Tensor, Tensor]],
        multiply: Callable[[Tensor, Tensor], None],
    ) -> tuple[Tensor, Tensor]:
        gradient, values = work(dense(logits.detach()))
        ctx.gradient, ctx.dtype, ctx.multiply = gradient, logits.dtype, multiply
        dtype = full_precision(logits[:0]).dtype
        values = values.to(scales.device)
        objective = (scales.double() * values).sum().to(dtype)
        values = values.to(dtype)
        ctx.mark_non_differentiable(values)
        return objective, values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_objective: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            raise RuntimeError(
                "a second backward pass through fused losses: they hand their gradient over once; "
                'for several passes call the losses themselves, or set train.fuse = "off"'
            )
        ctx.multiply(gradient, grad_objective)
        return gradient.to(ctx.dtype), None, None, None


def refuse_misfits(learner: Tensor, source: Tensor, target: Tensor) -> None:
    """Raise ValueError unless the shapes of both logits and the target fit together."""
    pixels = (len(learner), *learner.shape[2:])
    if learner.shape != source.shape or target.shape != pixels:
        raise ValueError(
            f"the learner's logits are {tuple(learner.shape)}, the source's {tuple(source.shape)} and the target is "
            f"{tuple(target.shape)}; both logits must be N×C×H×W and the target N×H×W"
        )
