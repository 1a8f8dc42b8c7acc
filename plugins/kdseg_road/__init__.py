"""Road scenes: drawn and real."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.hookspecs import hookimpl
from kdseg_road.metrics import BDD100KMetric, CityscapesMetric
from kdseg_road.options import BDD100K, CamVid, Cityscapes, SynthRoad

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg.components import Dataset, Metric

__all__ = [
    "BDD100K",
    "BDD100KMetric",
    "CamVid",
    "Cityscapes",
    "CityscapesMetric",
    "SynthRoad",
    "kdseg_datasets",
    "kdseg_metrics",
]


@hookimpl
def kdseg_datasets() -> Iterable[type[Dataset]]:
    """Hand over the datasets."""
    return [BDD100K, CamVid, Cityscapes, SynthRoad]


@hookimpl
def kdseg_metrics() -> Iterable[type[Metric]]:
    """Hand over the benchmarks' scores."""
    return [BDD100KMetric, CityscapesMetric]
