"""Losses on labels, as recipes see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from attrs import field, frozen
from attrs.validators import ge, gt, le

from kdseg import CLASS_WEIGHTS
from kdseg.components import Loss

if TYPE_CHECKING:
    from kdseg.components import LossContext
    from kdseg.losses import LossModule


_LARGEST = 1e6
"""The weight of a class; with larger ones a sum over pixels nears float32's end."""


@frozen(kw_only=True)
class ClassWeighted(Loss):
    """A mean over pixels that may weigh them by their classes."""

    role: ClassVar[Literal["supervised"]] = "supervised"
    class_weights: Annotated[
        Literal["none", "enet", "median_frequency", "effective_number"],
        "the rule that makes rare classes count more, from how often each occurs in the training labels",
    ] = "none"
    weights: Annotated[tuple[float, ...] | None, "a weight for each class, in place of a rule"] = None

    def __attrs_post_init__(self) -> None:
        """Refuse weights that weigh nothing, and two ways to give them."""
        if self.weights is None:
            return
        if self.class_weights != "none":
            raise ValueError(f"weights stand in place of class_weights = {self.class_weights!r}; leave one of them out")
        if not all(0 <= weight <= _LARGEST for weight in self.weights) or not any(self.weights):
            allowed = f"finite, 0 or more, {_LARGEST:g} at most, and not all 0"
            raise ValueError(f"weights must be {allowed}; found {self.weights}")

    def weights_for(self, ctx: LossContext) -> tuple[float, ...] | None:
        """Give the weight of each class; None where all weigh the same.

        Raises:
            ValueError: the number of `weights` is not that of the classes.
            KdsegError: a rule finds no labels to count.
        """
        weights = self.weights
        if self.class_weights != "none":
            weights = CLASS_WEIGHTS[self.class_weights](ctx.class_shares())
        if weights is not None and len(weights) != ctx.num_classes:
            raise ValueError(f"weights has {len(weights)} numbers; the dataset has {ctx.num_classes} classes")
        return weights


@frozen(kw_only=True)
class CrossEntropy(ClassWeighted):
    """Cross-entropy with the labels: a mean over the labelled pixels, weighted by their classes where asked.

    As torch defines it, label smoothing still pulls at a pixel whose class weighs 0, towards all classes by their
    weights, while the mean does not count it. A class that shall not count is better ignored in the masks.
    """

    name: ClassVar[str] = "cross_entropy"
    label_smoothing: Annotated[float, "the share of the target, 0..1, that is spread over all classes"] = field(
        default=0.0, validator=[ge(0), le(1)]
    )

    def build(self, ctx: LossContext) -> LossModule:
        """Make it."""
        from kdseg_losses.supervised import CrossEntropyLoss

        return CrossEntropyLoss(self.weights_for(ctx), self.label_smoothing)


@frozen(kw_only=True)
class Focal(ClassWeighted):
    """Focal loss with the labels: cross-entropy in which pixels that are right already count less (1708.02002)."""

    name: ClassVar[str] = "focal"
    gamma: Annotated[float, "how much less: their cross-entropy is multiplied by (1 - p)^gamma, 0..100"] = field(
        default=2.0, validator=[ge(0), le(100)]
    )

    def build(self, ctx: LossContext) -> LossModule:
        """Make it."""
        from kdseg_losses.supervised import FocalLoss

        return FocalLoss(self.weights_for(ctx), self.gamma)


@frozen(kw_only=True)
class OHEMCrossEntropy(ClassWeighted):
    """Cross-entropy over the hard pixels of each image: those whose class is predicted too low (1604.03540)."""

    name: ClassVar[str] = "ohem_cross_entropy"
    per: ClassVar[Literal["image"]] = "image"
    threshold: Annotated[float, "pixels whose class has a probability below this are hard"] = field(
        default=0.7, validator=[gt(0), le(1)]
    )
    keep: Annotated[float, "the share of an image's labelled pixels, 0..1, that counts at least, hardest first"] = (
        field(default=0.0625, validator=[ge(0), le(1)])
    )

    def build(self, ctx: LossContext) -> LossModule:
        """Make it."""
        from kdseg_losses.supervised import OHEMCrossEntropyLoss

        return OHEMCrossEntropyLoss(self.weights_for(ctx), self.threshold, self.keep)


@frozen(kw_only=True)
class Dice(Loss):
    """Soft Dice loss with the labels: overlap of each class, a mean over the classes in each image (1606.04797)."""

    name: ClassVar[str] = "dice"
    role: ClassVar[Literal["supervised"]] = "supervised"
    per: ClassVar[Literal["image"]] = "image"

    def build(self, ctx: LossContext) -> LossModule:  # noqa: ARG002 (it needs no context)
        """Make it."""
        from kdseg_losses.regions import DiceLoss

        return DiceLoss()


@frozen(kw_only=True)
class Jaccard(Loss):
    """Soft IoU loss with the labels: a mean over the classes in a micro-batch (Rahman and Wang, ISVC 2016)."""

    name: ClassVar[str] = "jaccard"
    role: ClassVar[Literal["supervised"]] = "supervised"
    per: ClassVar[Literal["batch"]] = "batch"

    def build(self, ctx: LossContext) -> LossModule:  # noqa: ARG002 (it needs no context)
        """Make it."""
        from kdseg_losses.regions import JaccardLoss

        return JaccardLoss()


@frozen(kw_only=True)
class LovaszSoftmax(Loss):
    """Lovász-Softmax loss with the labels: a convex stand-in for each class's IoU in a micro-batch (1705.08790)."""

    name: ClassVar[str] = "lovasz_softmax"
    role: ClassVar[Literal["supervised"]] = "supervised"
    per: ClassVar[Literal["batch"]] = "batch"

    def build(self, ctx: LossContext) -> LossModule:  # noqa: ARG002 (it needs no context)
        """Make it."""
        from kdseg_losses.regions import LovaszSoftmaxLoss

        return LovaszSoftmaxLoss()


@frozen(kw_only=True)
class MaxEntropy(Loss):
    """Minus the entropy of the learner's classes where they miss the label: be in doubt, if wrong (1809.05934)."""

    name: ClassVar[str] = "max_entropy"
    role: ClassVar[Literal["supervised"]] = "supervised"

    def build(self, ctx: LossContext) -> LossModule:  # noqa: ARG002 (it needs no context)
        """Make it."""
        from kdseg_losses.supervised import MaxEntropyLoss

        return MaxEntropyLoss()


LOSSES = (CrossEntropy, Focal, OHEMCrossEntropy, Dice, Jaccard, LovaszSoftmax, MaxEntropy)
