"""Road scenes: drawn and real."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.hookspecs import hookimpl
from kdseg_road.options import BDD100K, CamVid, Cityscapes, SynthRoad

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg.components import Dataset

__all__ = ["BDD100K", "CamVid", "Cityscapes", "SynthRoad", "kdseg_datasets"]


@hookimpl
def kdseg_datasets() -> Iterable[type[Dataset]]:
    """Hand over the datasets."""
    return [BDD100K, CamVid, Cityscapes, SynthRoad]
