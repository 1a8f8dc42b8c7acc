"""Losses between taps, as recipes see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from attrs import field, frozen
from attrs.validators import ge, le, lt

from kdseg_losses.components.between import BetweenTaps
from kdseg_losses.tap_pairs import TAPS_HELP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg.components import LossContext
    from kdseg.losses import LossModule


@frozen(kw_only=True)
class FitNet(BetweenTaps):
    """Half the squared distance between features, the learner's projected where channels differ (1412.6550)."""

    name: ClassVar[str] = "fitnet"

    def build(self, ctx: LossContext) -> LossModule:
        """Make it."""
        from kdseg_losses.feature_distances import FitNetLoss

        return FitNetLoss(self.pairs(ctx), ctx)


@frozen(kw_only=True)
class AttentionTransfer(BetweenTaps):
    """Squared distance between maps of where features are strong, whatever the channels (1612.03928)."""

    name: ClassVar[str] = "attention_transfer"
    per: ClassVar[Literal["image"]] = "image"

    def build(self, ctx: LossContext) -> LossModule:
        """Make it."""
        from kdseg_losses.feature_distances import AttentionTransferLoss

        return AttentionTransferLoss(self.pairs(ctx), ctx)


@frozen(kw_only=True)
class ChannelWise(BetweenTaps):
    """Kullback-Leibler divergence of where in the image each channel is strong: of logits, or of taps (2011.13256)."""

    name: ClassVar[str] = "cwd"
    per: ClassVar[Literal["image"]] = "image"
    between: Annotated[tuple[str, ...], TAPS_HELP + ". None: the logits"] = ()
    temperature: Annotated[
        float, "divides both networks' values, 0.01..100; above 1 the weaker places of a channel count more"
    ] = field(default=4.0, validator=[ge(0.01), le(100)])

    def taps(self, learner: Sequence[str], source: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Give the taps of the pairs; none where it compares the logits."""
        return super().taps(learner, source) if self.between else ((), ())

    def build(self, ctx: LossContext) -> LossModule:
        """Make it."""
        from kdseg_losses.channel import ChannelWiseFeatureLoss, ChannelWiseLoss

        if not self.between:
            return ChannelWiseLoss(self.temperature)
        return ChannelWiseFeatureLoss(self.pairs(ctx), ctx, self.temperature)


@frozen(kw_only=True)
class MaskedGenerative(BetweenTaps):
    """Squared distance to the source's features of what is generated from a part of the learner's (2205.01529)."""

    name: ClassVar[str] = "mgd"
    exempt: ClassVar = {
        "identical predictions": "the block that generates features starts untrained, and sees a part of them only",
        "repeated batch": "each image draws a mask of its own",
        "repeated resolution": "masks are drawn cell by cell, and 3x3 convolutions see neighbours",
        "micro-batches": "the generator that masks are drawn from is another in each micro-batch",
    }
    mask_ratio: Annotated[float, "the chance of each cell of the learner to be hidden, 0 to below 1"] = field(
        default=0.75, validator=[ge(0), lt(1)]
    )

    def build(self, ctx: LossContext) -> LossModule:
        """Make it."""
        from kdseg_losses.masked_generative import MaskedGenerativeLoss

        return MaskedGenerativeLoss(self.pairs(ctx), ctx, self.mask_ratio)


@frozen(kw_only=True)
class PearsonFeatures(BetweenTaps):
    """1 - Pearson's correlation of features, channel by channel: whatever their scales (2207.02039)."""

    name: ClassVar[str] = "pkd"
    per: ClassVar[Literal["batch"]] = "batch"

    def build(self, ctx: LossContext) -> LossModule:
        """Make it."""
        from kdseg_losses.feature_distances import PearsonLoss

        return PearsonLoss(self.pairs(ctx), ctx)


@frozen(kw_only=True)
class IntraClassVariation(BetweenTaps):
    """Squared difference in how near features are to their class's mean (Wang et al., ECCV 2020)."""

    name: ClassVar[str] = "ifvd"

    def build(self, ctx: LossContext) -> LossModule:
        """Make it."""
        from kdseg_losses.class_variation import IntraClassVariationLoss

        return IntraClassVariationLoss(self.pairs(ctx), ctx)


LOSSES = (FitNet, AttentionTransfer, ChannelWise, MaskedGenerative, PearsonFeatures, IntraClassVariation)
