"""Losses on a source's logits, as recipes see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from attrs import field, frozen
from attrs.validators import ge, gt, le, optional

from kdseg.components import Loss
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Mapping  # noqa: TC004 (a ClassVar's hint is never evaluated)

    from kdseg.components import LossContext
    from kdseg.losses import LossModule

_LARGEST = 1e6
"""What a weight or a mistake's cost may be: sums over pixels stay far from float32's end."""

Temperature = Annotated[float, "divides both logits, 0.01..100; above 1 the smaller classes count more"]


@frozen(kw_only=True)
class Softened(Loss):
    """A comparison of learner and source after a softmax."""

    role: ClassVar[Literal["distillation"]] = "distillation"
    temperature: Temperature = field(default=1.0, validator=[ge(0.01), le(100)])
    standardise: Annotated[
        bool, "z-score both logits over the classes of each pixel before, so that their scales may differ (2403.01427)"
    ] = False


@frozen(kw_only=True)
class PixelKL(Softened):
    """Kullback-Leibler divergence of the learner's softened classes from the source's, at each pixel (1503.02531)."""

    name: ClassVar[str] = "pixel_kl"
    direction: Annotated[
        Literal["forward", "reverse", "jensen_shannon"],
        "forward covers all that the source holds possible; reverse may settle on a part; jensen_shannon is bounded",
    ] = "forward"

    def build(self, ctx: LossContext) -> LossModule:  # noqa: ARG002 (it needs no context)
        """Make it."""
        from kdseg_losses.logit import PixelKLLoss

        return PixelKLLoss(self.temperature, self.direction, standardise=self.standardise)


@frozen(kw_only=True)
class CurriculumKL(Softened):
    """Divergence of softened classes at a temperature that learns to make it larger: CTKD (2211.16231)."""

    name: ClassVar[str] = "curriculum_kl"
    temperature: Annotated[float, "where it starts, between `lowest` and `highest`"] = 4.0
    lowest: Annotated[float, "it stays above, 0.01..100"] = field(default=1.0, validator=[ge(0.01), le(100)])
    highest: Annotated[float, "it stays below, 0.01..100"] = field(default=21.0, validator=[ge(0.01), le(100)])
    ramp: Annotated[float, "the share of the run, 0..1, over which it begins to learn"] = field(
        default=0.04, validator=[ge(0), le(1)]
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a start that no theta gives."""
        if not self.lowest < self.temperature < self.highest:
            raise ValueError(
                f"temperature must lie between lowest, {self.lowest:g}, and highest, {self.highest:g}; "
                f"found {self.temperature:g}"
            )

    def build(self, ctx: LossContext) -> LossModule:  # noqa: ARG002 (it needs no context)
        """Make it."""
        from kdseg_losses.curriculum import CurriculumKLLoss

        return CurriculumKLLoss(self.temperature, self.lowest, self.highest, self.ramp, standardise=self.standardise)


@frozen(kw_only=True)
class BoundaryKL(Softened):
    """Divergence of softened classes, pixels near a boundary of the labels weighing more (1503.02531, 1505.04597)."""

    name: ClassVar[str] = "boundary_kl"
    counts_by_label: ClassVar[bool] = True
    radius: Annotated[float, "what is near, in heights of the training image: 0.01 of 512 rows is 5 pixels"] = field(
        default=0.01, validator=[gt(0), le(1)]
    )
    weight: Annotated[float, "what a pixel near a boundary weighs, where one inside weighs 1"] = field(
        default=5.0, validator=[ge(0), le(_LARGEST)]
    )

    def build(self, ctx: LossContext) -> LossModule:  # noqa: ARG002 (it needs no context)
        """Make it."""
        from kdseg_losses.boundary import BoundaryKLLoss

        return BoundaryKLLoss(self.temperature, self.radius, self.weight, standardise=self.standardise)


@frozen(kw_only=True)
class GatedKL(Softened):
    """Divergence of softened classes where the source is right, or sure; 0 elsewhere (1503.02531, 1904.12399)."""

    name: ClassVar[str] = "gated_kl"
    gate: Annotated[
        Literal["right", "sure"],
        "pixels that pass: the source's likeliest class is the label, or has at least `threshold`",
    ] = "right"
    threshold: Annotated[float | None, "the least probability of a source that is sure, at temperature 1"] = field(
        default=None, validator=optional([gt(0), le(1)])
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a gate without its threshold, and a threshold without its gate."""
        if self.gate == "sure" and self.threshold is None:
            raise ValueError("gate = 'sure' needs a threshold: the least probability of a source that is sure, 0.9 say")
        if self.gate == "right" and self.threshold is not None:
            raise ValueError("gate = 'right' has no threshold; leave it out, or use gate = 'sure'")

    def build(self, ctx: LossContext) -> LossModule:  # noqa: ARG002 (it needs no context)
        """Make it."""
        from kdseg_losses.weighted import GatedKLLoss

        return GatedKLLoss(self.temperature, self.gate, self.threshold, standardise=self.standardise)


@frozen(kw_only=True)
class DKD(Softened):
    """Decoupled distillation at each pixel: the label's class against the rest, and the rest apart (2203.08679)."""

    name: ClassVar[str] = "dkd"
    temperature: Temperature = field(default=4.0, validator=[ge(0.01), le(100)])
    alpha: Annotated[float, "weight of the label's class against the rest"] = field(
        default=1.0, validator=[ge(0), le(_LARGEST)]
    )
    beta: Annotated[float, "weight of the rest among themselves"] = field(default=8.0, validator=[ge(0), le(_LARGEST)])

    def __attrs_post_init__(self) -> None:
        """Refuse weights that leave nothing."""
        _refuse_nothing(alpha=self.alpha, beta=self.beta)

    def build(self, ctx: LossContext) -> LossModule:
        """Make it.

        Raises:
            KdsegError: there is nothing beside the label's class.
        """
        if ctx.num_classes < 2:  # noqa: PLR2004 (the label's and another)
            raise KdsegError(
                f"{self.name}: decoupled distillation holds the label's class against the rest, and needs 2 classes or "
                f"more; the dataset has {ctx.num_classes}"
            )
        from kdseg_losses.decoupled import DecoupledLoss

        return DecoupledLoss(self.temperature, self.alpha, self.beta, standardise=self.standardise)


@frozen(kw_only=True)
class DIST(Softened):
    """Pearson correlation of softened classes, within each pixel and of each class over pixels (2205.10536)."""

    name: ClassVar[str] = "dist"
    per: ClassVar[Literal["batch"]] = "batch"
    beta: Annotated[float, "weight of the correlation over the classes of a pixel"] = field(
        default=1.0, validator=[ge(0), le(_LARGEST)]
    )
    gamma: Annotated[float, "weight of the correlation over the pixels of a class"] = field(
        default=1.0, validator=[ge(0), le(_LARGEST)]
    )

    def __attrs_post_init__(self) -> None:
        """Refuse weights that leave nothing."""
        _refuse_nothing(beta=self.beta, gamma=self.gamma)

    def build(self, ctx: LossContext) -> LossModule:  # noqa: ARG002 (it needs no context)
        """Make it."""
        from kdseg_losses.correlation import DISTLoss

        return DISTLoss(self.temperature, self.beta, self.gamma, standardise=self.standardise)


@frozen(kw_only=True)
class WeightedSoftLabels(Softened):
    """Divergence of softened classes, less where the learner beats its source; without the labels (2102.00650)."""

    name: ClassVar[str] = "wsl"
    exempt: ClassVar[Mapping[str, str]] = {
        "finite differences": "the weight of a pixel depends on the learner and is taken for constant, as published"
    }
    temperature: Temperature = field(default=2.0, validator=[ge(0.01), le(100)])

    def build(self, ctx: LossContext) -> LossModule:  # noqa: ARG002 (it needs no context)
        """Make it."""
        from kdseg_losses.weighted import WeightedSoftLabelsLoss

        return WeightedSoftLabelsLoss(self.temperature, standardise=self.standardise)


@frozen(kw_only=True)
class OptimalTransport(Softened):
    """What it costs to move the learner's classes to the source's, at each pixel: Sinkhorn divergence (1810.08278)."""

    name: ClassVar[str] = "optimal_transport"
    cost: Annotated[
        tuple[tuple[float, ...], ...] | None, "what it costs to take one class for another, C x C; 1 if left out"
    ] = None
    epsilon: Annotated[
        float,
        "how far plans are smoothed, in units of cost, at least 1/80 of the largest; smaller needs more iterations",
    ] = field(default=0.5, validator=[gt(0), le(1e6)])
    iterations: Annotated[int, "updates of the plans, 1..1000"] = field(default=20, validator=[ge(1), le(1000)])

    def __attrs_post_init__(self) -> None:
        """Refuse costs that are none, and too little smoothing for them."""
        if self.cost is not None:
            _check_cost(self.cost)
        largest = 1.0 if self.cost is None else max(map(max, self.cost))
        if self.epsilon < largest / _RANGE:
            raise ValueError(
                f"epsilon must be at least 1/{_RANGE} of the largest cost, {largest / _RANGE:g}, for "
                f"exp(-cost / epsilon) to exist in float32; found {self.epsilon:g}"
            )

    def build(self, ctx: LossContext) -> LossModule:
        """Make it.

        Raises:
            ValueError: the size of `cost` is not the number of classes.
        """
        from kdseg_losses.transport import OptimalTransportLoss

        classes = range(ctx.num_classes)
        cost = self.cost or [[float(one != other) for other in classes] for one in classes]
        if len(cost) != ctx.num_classes:
            raise ValueError(f"cost has {len(cost)} rows; the dataset has {ctx.num_classes} classes")
        return OptimalTransportLoss(self.temperature, cost, self.epsilon, self.iterations, standardise=self.standardise)


_RANGE = 80
"""The largest cost / epsilon: exp(-80) is 2e-35, and float32 ends at 1e-38."""


def _check_cost(cost: tuple[tuple[float, ...], ...]) -> None:
    """Refuse a cost that is no square table, not symmetric, or not 0 on the diagonal and 0 or more elsewhere."""
    if not cost or any(len(row) != len(cost) for row in cost):
        raise ValueError(f"cost must be square; found rows of {[len(row) for row in cost]} numbers")
    for one, row in enumerate(cost):
        for other, value in enumerate(row):
            if not 0 <= value <= _LARGEST:
                raise ValueError(f"cost must be 0 to {_LARGEST:g}; found {value} in row {one}, column {other}")
            if one == other and value != 0:
                raise ValueError(f"cost must be 0 on the diagonal; found {value} in row {one}")
            if value != cost[other][one]:
                raise ValueError(
                    f"cost must be symmetric; found {value} in row {one}, column {other}, and {cost[other][one]} in "
                    f"row {other}, column {one}"
                )
    if not any(map(any, cost)):
        raise ValueError("cost must not be 0 everywhere: nothing would be learned")


def _refuse_nothing(**weights: float) -> None:
    """Refuse weights that are all 0."""
    if not any(weights.values()):
        raise ValueError(f"{' and '.join(weights)} are both 0: nothing would be learned")


LOSSES = (PixelKL, CurriculumKL, BoundaryKL, GatedKL, DKD, DIST, WeightedSoftLabels, OptimalTransport)
