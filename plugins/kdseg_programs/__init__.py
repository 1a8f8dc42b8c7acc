"""Frozen teachers that are programs: files that hold a whole network, whatever code made it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.hookspecs import hookimpl
from kdseg_programs.backbones import Exported, Onnx, TorchScript

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg.components import Backbone

__all__ = ["Exported", "Onnx", "TorchScript", "kdseg_backbones"]


@hookimpl
def kdseg_backbones() -> Iterable[type[Backbone]]:
    """Hand over the backbones."""
    return [Exported, Onnx, TorchScript]
