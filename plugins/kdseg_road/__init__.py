"""Road scenes: drawn and real."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.hookspecs import hookimpl
from kdseg_road.mapped import A2D2, IDD, MapillaryVistas
from kdseg_road.metrics import BDD100KMetric, CityscapesMetric
from kdseg_road.options import BDD100K, CamVid, Cityscapes, SynthRoad

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg.components import Dataset, Metric

__all__ = [
    "A2D2",
    "BDD100K",
    "IDD",
    "BDD100KMetric",
    "CamVid",
    "Cityscapes",
    "CityscapesMetric",
    "MapillaryVistas",
    "SynthRoad",
    "kdseg_datasets",
    "kdseg_metrics",
]


@hookimpl
def kdseg_datasets() -> Iterable[type[Dataset]]:
    """Hand over the datasets."""
    return [A2D2, BDD100K, IDD, CamVid, Cityscapes, MapillaryVistas, SynthRoad]


@hookimpl
def kdseg_metrics() -> Iterable[type[Metric]]:
    """Hand over the benchmarks' scores."""
    return [BDD100KMetric, CityscapesMetric]
