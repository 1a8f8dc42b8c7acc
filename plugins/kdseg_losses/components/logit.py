"""Losses on a source's logits, as recipes see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from attrs import field, frozen
from attrs.validators import ge, le

from kdseg.components import Loss

if TYPE_CHECKING:
    from kdseg.components import LossContext
    from kdseg.losses import LossModule


@frozen(kw_only=True)
class PixelKL(Loss):
    """Kullback-Leibler divergence of the learner's softened classes from the source's, at each pixel (1503.02531)."""

    name: ClassVar[str] = "pixel_kl"
    role: ClassVar[Literal["distillation"]] = "distillation"
    temperature: Annotated[float, "divides both logits, 0.01..100; above 1 the smaller classes count more"] = field(
        default=1.0, validator=[ge(0.01), le(100)]
    )

    def build(self, ctx: LossContext) -> LossModule:  # noqa: ARG002 (it needs no context)
        """Make it."""
        from kdseg_losses.logit import PixelKLLoss

        return PixelKLLoss(self.temperature)


LOSSES = (PixelKL,)
