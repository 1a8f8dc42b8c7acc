"""Networks of timm and of segmentation_models.pytorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.hookspecs import hookimpl
from kdseg_timm.backbones import SMP, TimmUNet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg.components import Backbone

__all__ = ["SMP", "TimmUNet", "kdseg_backbones"]


@hookimpl
def kdseg_backbones() -> Iterable[type[Backbone]]:
    """Hand over the backbones."""
    return [SMP, TimmUNet]
