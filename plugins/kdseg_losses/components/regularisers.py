"""Losses on the learner's prediction alone, as recipes see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from attrs import frozen

from kdseg.components import Loss

if TYPE_CHECKING:
    from kdseg.components import LossContext
    from kdseg.losses import LossModule


@frozen(kw_only=True)
class ConfidencePenalty(Loss):
    """Minus the entropy of the learner's classes at each pixel: keeps it from being too sure (1701.06548)."""

    name: ClassVar[str] = "confidence_penalty"
    role: ClassVar[Literal["regulariser"]] = "regulariser"

    def build(self, ctx: LossContext) -> LossModule:  # noqa: ARG002 (it needs no context)
        """Make it."""
        from kdseg_losses.regularisers import ConfidencePenaltyLoss

        return ConfidencePenaltyLoss()


LOSSES = (ConfidencePenalty,)
