"""What losses between taps have in common, as recipes see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from attrs import frozen

from kdseg.components import Loss
from kdseg_losses.tap_pairs import TAPS_HELP, sides, tap_pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg.components import LossContext
    from kdseg_losses.tap_pairs import Pairs


@frozen(kw_only=True)
class BetweenTaps(Loss):
    """A distillation loss between taps of the learner and of its source."""

    role: ClassVar[Literal["distillation"]] = "distillation"
    between: Annotated[tuple[str, ...], TAPS_HELP] = ("bottleneck",)

    def taps(self, learner: Sequence[str], source: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Give the taps of the pairs."""
        return sides(tap_pairs(self.between, learner, source))

    def pairs(self, ctx: LossContext) -> Pairs:
        """Give the pairs again, out of the taps that were asked for."""
        return tap_pairs(self.between, tuple(ctx.learner_taps), tuple(ctx.source_taps))
