"""Losses on relations between pixels, images and distributions, as recipes see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from attrs import Attribute, field, frozen
from attrs.validators import ge, le, optional

from kdseg.components import Loss
from kdseg.errors import KdsegError
from kdseg_losses.components.between import BetweenTaps
from kdseg_losses.tap_pairs import ARROW, TAPS_HELP, tap_pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg.components import LossContext
    from kdseg.losses import LossModule
    from kdseg_losses.tap_pairs import Pairs


_MOST_NODES = 4096
"""Of an image; the similarities of each with each take 64 MiB."""


def _is_a_grid(instance: Any, attribute: Attribute[Any], nodes: tuple[int, int]) -> None:  # noqa: ARG001 (attrs calls it)
    """Refuse nodes of which there are no two, or too many."""
    if min(nodes) < 1 or not 2 <= nodes[0] * nodes[1] <= _MOST_NODES:  # noqa: PLR2004 (a pair)
        raise ValueError(f"nodes are rows and columns, 2 to {_MOST_NODES} nodes in all; found {nodes}")


@frozen(kw_only=True)
class PairwiseSimilarity(BetweenTaps):
    """Squared difference of the cosines between an image's parts: which of them have like features (1903.04197)."""

    name: ClassVar[str] = "pairwise_similarity"
    per: ClassVar[Literal["image"]] = "image"
    nodes: Annotated[tuple[int, int], "rows and columns of the parts, each an equal share of the image"] = field(
        default=(8, 16), validator=_is_a_grid
    )

    def build(self, ctx: LossContext) -> LossModule:
        """Make it."""
        from kdseg_losses.pairwise import PairwiseSimilarityLoss

        return PairwiseSimilarityLoss(self.pairs(ctx), ctx, self.nodes)


def _weight(default: float) -> Any:
    """Give an option that weighs a part of a loss."""
    return field(default=default, validator=[ge(0), le(1e6)])


def _number(default: int | None, most: int) -> Any:
    """Give an option that is a number of cells or vectors."""
    return field(default=default, validator=optional([ge(1), le(most)]))


@frozen(kw_only=True)
class CrossImage(BetweenTaps):
    """Divergence of the learner's similarities to cells of other images from the source's (CIRKD, 2204.06986)."""

    name: ClassVar[str] = "cirkd"
    per: ClassVar[Literal["batch"]] = "batch"
    between: Annotated[tuple[str, ...], TAPS_HELP + "; here one pair"] = ("bottleneck",)
    batch: Annotated[float, "weight of the relations to the images of the batch"] = _weight(1.0)
    pixel_queue: Annotated[float, "weight of the relations to cells that the source saw before"] = _weight(0.1)
    region_queue: Annotated[float, "weight of the relations to classes' means that the source saw before"] = _weight(
        0.1
    )
    temperature: Annotated[float, "divides the cosines, 0.01..100; the lower, the more the nearest cells count"] = (
        field(default=0.1, validator=[ge(0.01), le(100)])
    )
    anchors: Annotated[int, "cells of an image, at most, whose relations are compared; drawn at each step"] = _number(
        1024, 65_536
    )
    pixel_queue_length: Annotated[
        int | None,
        "cells of each class that are kept, 4 bytes a channel of the source; None: 20000, as published, where the tap "
        "has 64x128 cells, else in proportion to its cells, at least 1000",
    ] = _number(None, 1_000_000)
    region_queue_length: Annotated[int, "means of each class that are kept"] = _number(2000, 1_000_000)
    pixel_contrast: Annotated[int, "cells of the queue, over all classes, that a step compares with"] = _number(
        4096, 1_000_000
    )
    region_contrast: Annotated[int, "means of the queue, over all classes, that a step compares with"] = _number(
        1024, 1_000_000
    )
    samples: Annotated[int, "cells of each class of an image, at most, that enter the queue"] = _number(16, 4096)

    def __attrs_post_init__(self) -> None:
        """Refuse a loss that has no part."""
        if not (self.batch or self.pixel_queue or self.region_queue):
            raise ValueError("batch, pixel_queue and region_queue are all 0; give one of them a weight")

    def taps(self, learner: Sequence[str], source: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Give the taps of its pair."""
        self._one_pair(tap_pairs(self.between, learner, source))
        return super().taps(learner, source)

    def build(self, ctx: LossContext) -> LossModule:
        """Make it."""
        from kdseg_losses.cross_image import CrossImageLoss

        return CrossImageLoss(self._one_pair(self.pairs(ctx)), ctx, self)

    def _one_pair(self, pairs: Pairs) -> tuple[str, str]:
        if len(pairs) > 1:
            found = ", ".join(f"{one} {ARROW} {other}" for one, other in pairs)
            raise KdsegError(
                f"between: {self.name} compares one pair of taps; found {found}; give each a term of its own"
            )
        return pairs[0]


@frozen(kw_only=True)
class Holistic(Loss):
    """What a critic, which learns to tell the source's predictions from the learner's, tells them by (1903.04197).

    The term's `critic` says how it learns: `{ use = "Adam", lr = 1e-4, betas = [0.0, 0.9] }` as in 1704.00028; SGD, at
    4e-4, in the code of 1903.04197.
    """

    name: ClassVar[str] = "holistic"
    role: ClassVar[Literal["distillation"]] = "distillation"
    per: ClassVar[Literal["image"]] = "image"
    exempt: ClassVar = {
        "repeated resolution": "the critic's convolutions see so many pixels, whatever they show",
        "micro-batches": "the critic's penalty is taken at drawn points, others in each micro-batch and process",
    }
    objective: Annotated[
        Literal["wgan_gp", "hinge"],
        "what the critic learns from: the difference, with a penalty on its slope (1704.00028); or that each is on its "
        "side of a margin",
    ] = "wgan_gp"
    penalty: Annotated[float, "weight of the penalty on the slope, for wgan_gp"] = _weight(10.0)
    width: Annotated[int, "channels of the critic's first convolution; each of the next three doubles them"] = field(
        default=64, validator=[ge(1), le(1024)]
    )
    sees_image: Annotated[bool, "whether the critic sees the image beside the prediction"] = False

    def build(self, ctx: LossContext) -> LossModule:
        """Make it."""
        from kdseg_losses.adversarial import HolisticLoss

        return HolisticLoss(ctx, self)


LOSSES = (PairwiseSimilarity, CrossImage, Holistic)
