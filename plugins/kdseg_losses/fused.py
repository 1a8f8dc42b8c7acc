"""Cross-entropy with the labels and divergence from a source at once: value and gradient from one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.function import once_differentiable

from kdseg.losses import full_precision
from kdseg_losses.fused_blocks import Pixels, Scales, in_blocks
from kdseg_losses.fused_compiled import compilable, in_one_pass
from kdseg_losses.supervised import CrossEntropyLoss

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from kdseg.losses import FusedLoss, LossCall, LossModule, Prediction
    from kdseg_losses.logit import PixelKLLoss


def fuse_pixels(
    divergence: PixelKLLoss, others: Sequence[LossModule], *, device: torch.device, compiled: bool
) -> FusedLoss | None:
    """Offer one pass for a pixel_kl, together with the first cross_entropy of the others if there is one.

    On the CPU alone: elsewhere nobody has measured whether it gains. Not for another direction than the forward one,
    nor for standardised logits.
    """
    plain = divergence.direction == "forward" and not divergence.standardise
    if device.type != "cpu" or not plain:
        return None
    labels = next((other for other in others if type(other) is CrossEntropyLoss), None)
    return FusedPixels(divergence, labels, compiled=compiled and compilable())


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
        logits = learner.logits
        refuse_misfits(logits, source.logits, target)
        pixels = Pixels(
            temperature=self._temperature,
            with_labels=self._labels is not None,
            weights=None if self._labels is None else self._labels.weights,
            smoothing=0.0 if self._labels is None else self._labels.label_smoothing,
        )
        factors = Scales(*scales.tolist(), *[0.0] * (2 - len(self.modules)))

        def work(dense: Tensor) -> tuple[Tensor, Tensor]:
            other = source.logits.detach()
            compute = in_one_pass if self._compiled and dense.dtype == other.dtype == torch.float32 else in_blocks
            gradient, sums = compute(pixels, dense, other, target, factors)
            return gradient, torch.stack(sums[: len(self.modules)])

        return hand_over(logits, scales, work)


def hand_over(logits: Tensor, scales: Tensor, work: Callable[[Tensor], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Make values and a gradient, found together, what autograd takes for an objective.

    Args:
        logits: the learner's, N×C×H×W.
        scales: what each value is multiplied by in the objective.
        work: given the logits, detached and contiguous or channels_last, gives the gradient of the objective in the
            same layout, and the values in float64. Nothing else may hold that gradient.

    Returns:
        The objective, whose backward pass may run once, and the values; in the logits' type, float32 for halves.
    """
    objective, values = _HandOver.apply(logits, scales, work)  # type: ignore[no-untyped-call]  # torch gives it no types
    return objective, values


class _HandOver(torch.autograd.Function):
    """Keeps a gradient until the backward pass, and not a moment longer: accumulating it then needs no copy."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, scales: Tensor, work: Callable[[Tensor], tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor]:
        dense = logits.detach()
        if not dense.is_contiguous() and not dense.is_contiguous(memory_format=torch.channels_last):
            dense = dense.contiguous()
        gradient, values = work(dense)
        ctx.gradient, ctx.dtype = gradient, logits.dtype
        dtype = full_precision(logits[:0]).dtype
        values = values.to(scales.device)
        objective = (scales.double() * values).sum().to(dtype)
        values = values.to(dtype)
        ctx.mark_non_differentiable(values)
        return objective, values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_objective: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            raise RuntimeError(
                "a second backward pass through fused losses: they hand their gradient over once; "
                'for several passes call the losses themselves, or set train.fuse = "off"'
            )
        if gradient.device.type != "cpu" or grad_objective.item() != 1:
            gradient.mul_(grad_objective.to(gradient.dtype))
        return gradient.to(ctx.dtype), None, None


def refuse_misfits(learner: Tensor, source: Tensor, target: Tensor) -> None:
    """Raise ValueError unless the shapes of both logits and the target fit together."""
    pixels = (len(learner), *learner.shape[2:])
    if learner.shape != source.shape or target.shape != pixels:
        raise ValueError(
            f"the learner's logits are {tuple(learner.shape)}, the source's {tuple(source.shape)} and the target is "
            f"{tuple(target.shape)}; both logits must be N×C×H×W and the target N×H×W"
        )
