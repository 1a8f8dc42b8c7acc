"""The benchmarks' scores as recipes see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from kdseg.components import Metric
from kdseg.errors import KdsegError
from kdseg_road.classes import CITYSCAPES

if TYPE_CHECKING:
    from kdseg.components import MetricContext
    from kdseg.metrics.measure import Measure


@frozen(kw_only=True)
class CityscapesMetric(Metric):
    """The scores of Cityscapes (Cordts et al. 2016, arXiv:1604.01685): IoU and iIoU over classes and categories.

    In iIoU each object weighs as one of average size, so that small ones count as much as large ones. It reads
    Cityscapes' instance ids; where no image has any, as in other datasets, both kinds of iIoU are nan. A class that is
    predicted but true nowhere has the IoU 0, and counts.
    """

    name: ClassVar[str] = "cityscapes"
    scores: ClassVar[tuple[str, ...]] = ("iou", "iiou", "category_iou", "category_iiou")
    extras: ClassVar[tuple[str, ...]] = ("instances",)

    def build(self, ctx: MetricContext) -> Measure:
        """Start counting.

        Raises:
            KdsegError: the classes are others than those of Cityscapes.
        """
        from kdseg_road.scores.cityscapes import CityscapesMeasure

        _require_classes(self.name, ctx)
        return CityscapesMeasure()


@frozen(kw_only=True)
class BDD100KMetric(Metric):
    """The scores of BDD100K's semantic segmentation (Yu et al. 2020, arXiv:1805.04687).

    Mean IoU over the classes that the truth holds, IoU weighted by how often each class is true, pixel accuracy, and
    mean precision, which the benchmark's evaluator calls Acc. All in 0..1.
    """

    name: ClassVar[str] = "bdd100k"
    scores: ClassVar[tuple[str, ...]] = ("miou", "fiou", "pixel_accuracy", "precision")

    def build(self, ctx: MetricContext) -> Measure:
        """Start counting.

        Raises:
            KdsegError: the classes are others than those of BDD100K.
        """
        from kdseg_road.scores.bdd100k import BDD100KMeasure

        _require_classes(self.name, ctx)
        return BDD100KMeasure(ctx.classes.names)


def _require_classes(metric: str, ctx: MetricContext) -> None:
    """Refuse other classes than the 19 that both benchmarks score."""
    if ctx.classes.names != CITYSCAPES.names:
        raise KdsegError(
            f"the metric {metric} scores the {len(CITYSCAPES)} classes {', '.join(CITYSCAPES.names)}; "
            f"the dataset has {', '.join(ctx.classes.names)}"
        )
