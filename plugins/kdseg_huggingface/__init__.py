"""Networks and datasets of Hugging Face's libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.hookspecs import hookimpl
from kdseg_huggingface.backbone import HFSegmentation
from kdseg_huggingface.dataset import HuggingFace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg.components import Backbone, Dataset

__all__ = ["HFSegmentation", "HuggingFace", "kdseg_backbones", "kdseg_datasets"]


@hookimpl
def kdseg_backbones() -> Iterable[type[Backbone]]:
    """Hand over the backbone."""
    return [HFSegmentation]


@hookimpl
def kdseg_datasets() -> Iterable[type[Dataset]]:
    """Hand over the dataset."""
    return [HuggingFace]
