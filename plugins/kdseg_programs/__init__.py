"""Files that hold a whole network, whatever code made it: frozen teachers, and trained networks that leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.hookspecs import hookimpl
from kdseg_programs.backbones import Exported, Onnx, TorchScript
from kdseg_programs.exporters import OnnxFile, OpenVinoFile, Pt2File

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg.components import Backbone, Exporter

__all__ = [
    "Exported",
    "Onnx",
    "OnnxFile",
    "OpenVinoFile",
    "Pt2File",
    "TorchScript",
    "kdseg_backbones",
    "kdseg_exporters",
]


@hookimpl
def kdseg_backbones() -> Iterable[type[Backbone]]:
    """Hand over the backbones."""
    return [Exported, Onnx, TorchScript]


@hookimpl
def kdseg_exporters() -> Iterable[type[Exporter]]:
    """Hand over the exporters."""
    return [OnnxFile, OpenVinoFile, Pt2File]
