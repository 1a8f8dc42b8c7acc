"""What the working module of a loss is: its inputs and its base classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

import torch
import torch.nn.functional as F
from attrs import evolve, field, frozen
from torch import nn

from kdseg.data.samples import IGNORE_INDEX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor


@frozen(kw_only=True, eq=False)
class Prediction:
    """What one participant says of a batch."""

    logits: Tensor
    """N×C×H×W, at the images' size, whatever the size at which the network saw them."""
    taps: Mapping[str, Tensor] = field(factory=dict)
    """Features N×C'×H'×W' by tap name, in the order in which the network made them."""
    heads: Mapping[str, Tensor] = field(factory=dict)
    """Further outputs of the network, by its own names."""

    def of(self, head: str | None) -> Prediction:
        """Give it with a further head's logits in place of the main ones; as it is, where no head is named."""
        return self if head is None else evolve(self, logits=self.heads[head])


def _alone(values: Tensor) -> Tensor:
    """Gather from the only process."""
    return values


@frozen(kw_only=True, eq=False)
class LossCall:
    """What else a loss may read at a step."""

    progress: float
    """Optimizer steps taken, as a share of the run's, 0..1."""
    images: Tensor
    """N×3×H×W, normalised, as networks without a view of their own saw them."""
    generator: torch.Generator
    """On the images' device; the same numbers at the same step of the same recipe."""
    gather: Callable[[Tensor], Tensor] = _alone
    """Joins a tensor, of one shape in all processes, along its first dimension in the processes' order. Gradient flows
    back to each. All processes must call it, equally often."""


class LossModule(nn.Module):
    """A loss at work.

    Called with the learner's prediction, the source's (None without one), the target and a `LossCall`. It returns a
    scalar: for a loss per pixel or per image the sum over what `count` counts, for a loss per batch the mean of its
    micro-batch. The engine divides by the count of the global batch, so that processes and micro-batches don't change
    the step. The contracts: ignored pixels change neither value nor gradient, gradient reaches the learner alone,
    identical predictions give 0 for a distillation loss, an all-ignored batch gives 0.

    Its own parameters learn with the learner. A loss that has an opponent assigns it to `critic`: the term's `critic`
    optimizes that by `critic_loss`, after the learner's step, and nothing of it moves while the learner learns.
    """

    critic: nn.Module | None
    averages: ClassVar[bool] = True
    """Whether its floating-point buffers are averaged over processes after a step, as running statistics are. False
    where all processes fill them alike."""

    def __init__(self) -> None:
        super().__init__()
        self.register_module("critic", None)

    def count(self, target: Tensor) -> Tensor:
        """Give what a micro-batch adds to the divisor, as a scalar that follows from the target alone.

        Args:
            target: N×H×W integers, `IGNORE_INDEX` where ignored.

        Returns:
            The number of valid pixels. A loss per image, or with class weights, overrides this.
        """
        return (target != IGNORE_INDEX).sum()

    def forward(self, learner: Prediction, source: Prediction | None, target: Tensor, call: LossCall) -> Tensor:
        """Compute the loss."""
        raise NotImplementedError

    def critic_loss(self, learner: Prediction, source: Prediction | None, target: Tensor, call: LossCall) -> Tensor:
        """Compute what the critic learns from, as `forward` does: a sum over what `count` counts, or a mean.

        Both predictions come detached, with the critic as `forward` saw it.
        """
        raise NotImplementedError

    def fuse(
        self,
        others: Sequence[LossModule],  # noqa: ARG002 (a default)
        *,
        device: torch.device,  # noqa: ARG002
        compiled: bool,  # noqa: ARG002
    ) -> FusedLoss | None:
        """Offer a quicker equal for this loss, maybe together with some of the others; None where there is none.

        Args:
            others: of the same learner and step, each with the same source or with none.
            device: where the predictions are.
            compiled: whether it may run a compiler.
        """
        return None


class FusedLoss(Protocol):
    """Some losses of one learner at once: the gradient of their weighted sum comes with their values, from one pass."""

    modules: Sequence[LossModule]
    """The losses that it computes."""
    how: str
    """In which way, for the log: "in one pass over blocks of rows"."""

    def __call__(
        self, learner: Prediction, source: Prediction | None, target: Tensor, call: LossCall, scales: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Give the objective and the values.

        Args:
            learner: as `LossModule.forward` takes it.
            source: likewise.
            target: likewise.
            call: likewise.
            scales: what each value is multiplied by, in the order of `modules`; on the target's device.

        Returns:
            The sum of scales times values, through which one backward pass may go, and the values, detached.
        """
        ...


class PixelLoss(LossModule):
    """A loss per pixel, from a map of the logits.

    Ignored pixels are blanked before any arithmetic: neither a NaN there nor its gradient can reach the sum.
    """

    def pixel_map(self, learner: Tensor, source: Tensor | None, target: Tensor, call: LossCall) -> Tensor:
        """Give the loss of each pixel, N×H×W.

        Args:
            learner: logits N×C×H×W in float32 or float64, 0 at ignored pixels.
            source: likewise, detached; None without a source.
            target: N×H×W class indices, 0 at ignored pixels.
            call: what else may be read.
        """
        raise NotImplementedError

    def forward(self, learner: Prediction, source: Prediction | None, target: Tensor, call: LossCall) -> Tensor:
        """Sum the map over the valid pixels."""
        ignored = target == IGNORE_INDEX
        hidden = ignored.unsqueeze(1)
        loss = self.pixel_map(
            full_precision(learner.logits).masked_fill(hidden, 0),
            None if source is None else full_precision(source.logits).detach().masked_fill(hidden, 0),
            target.masked_fill(ignored, 0),
            call,
        )
        return loss.masked_fill(ignored, 0).sum()


def valid_cells(target: Tensor, size: tuple[int, int]) -> Tensor:
    """Give which cells of a tap, N×h×w, count: those of which at least half of the pixels do.

    Args:
        target: N×H×W integers, `IGNORE_INDEX` where ignored.
        size: height and width of the tap; a cell stands for its share of the image.
    """
    valid = target != IGNORE_INDEX
    if size == tuple(target.shape[-2:]):
        return valid
    return F.adaptive_avg_pool2d(valid.float().unsqueeze(1), size).squeeze(1) >= 0.5  # noqa: PLR2004 (half)


def full_precision(values: Tensor) -> Tensor:
    """Give half-precision values as float32; float32 and float64 as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
