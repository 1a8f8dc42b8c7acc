"""Losses on relations between pixels, images and distributions, as recipes see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from attrs import Attribute, field, frozen

from kdseg.components import Loss
from kdseg_losses.tap_pairs import TAPS_HELP, sides, tap_pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg.components import LossContext
    from kdseg.losses import LossModule


_MOST_NODES = 4096
"""Of an image; the similarities of each with each take 64 MiB."""


def _is_a_grid(instance: Any, attribute: Attribute[Any], nodes: tuple[int, int]) -> None:  # noqa: ARG001 (attrs calls it)
    """Refuse nodes of which there are no two, or too many."""
    if min(nodes) < 1 or not 2 <= nodes[0] * nodes[1] <= _MOST_NODES:  # noqa: PLR2004 (a pair)
        raise ValueError(f"nodes are rows and columns, 2 to {_MOST_NODES} nodes in all; found {nodes}")


@frozen(kw_only=True)
class PairwiseSimilarity(Loss):
    """Squared difference of the cosines between an image's parts: which of them have like features (1903.04197)."""

    name: ClassVar[str] = "pairwise_similarity"
    role: ClassVar[Literal["distillation"]] = "distillation"
    per: ClassVar[Literal["image"]] = "image"
    between: Annotated[tuple[str, ...], TAPS_HELP] = ("bottleneck",)
    nodes: Annotated[tuple[int, int], "rows and columns of the parts, each an equal share of the image"] = field(
        default=(8, 16), validator=_is_a_grid
    )

    def taps(self, learner: Sequence[str], source: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Give the taps of its pairs."""
        return sides(tap_pairs(self.between, learner, source))

    def build(self, ctx: LossContext) -> LossModule:
        """Make it."""
        from kdseg_losses.pairwise import PairwiseSimilarityLoss

        pairs = tap_pairs(self.between, tuple(ctx.learner_taps), tuple(ctx.source_taps))
        return PairwiseSimilarityLoss(pairs, ctx, self.nodes)


LOSSES = (PairwiseSimilarity,)
