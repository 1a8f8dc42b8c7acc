"""Networks and datasets of Hugging Face's libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.hookspecs import hookimpl
from kdseg_huggingface.backbone import HFSegmentation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg.components import Backbone

__all__ = ["HFSegmentation", "kdseg_backbones"]


@hookimpl
def kdseg_backbones() -> Iterable[type[Backbone]]:
    """Hand over the backbone."""
    return [HFSegmentation]
