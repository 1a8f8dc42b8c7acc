"""Networks as exported files run them, for measurements alone: nothing is checked, nothing is kept."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from kdseg.components import ExportContext, Exporter
from kdseg.engine.deploy.graph import DeployedGraph
from kdseg.engine.models.exported import exporter_told, make_exporter, open_exported
from kdseg.engine.models.model import SegmentationModel
from kdseg.errors import KdsegError
from kdseg.exports import PRECISIONS
from kdseg.registry import check_requirements, refuse_unmet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import nn

    from kdseg.registry import Registry

_CALIBRATED = 4
"""Images of noise for int8, which change no latency."""


def exporter_of(runtime: str) -> tuple[str, str]:
    """Give an exporter's name and the precision: ``openvino-bf16``; fp32 where none is said."""
    name, _, precision = runtime.rpartition("-")
    return (name, precision) if precision in PRECISIONS else (runtime, "fp32")


@contextmanager
def drafts(
    runtime: str, size: tuple[int, int], registry: Registry
) -> Iterator[Callable[[nn.Module, Mapping[str, Any]], SegmentationModel]]:
    """Give what makes networks into models as a runtime of exported files has them, while the context lasts.

    Args:
        runtime: an exporter by its name, with a precision after it unless that is fp32: ``openvino-bf16``.
        size: height and width of the images.
        registry: knows the exporters.

    Raises:
        KdsegError: there is no such exporter, it does not write that precision, or its libraries are missing.
    """
    name, precision = exporter_of(runtime)
    entry = registry.find("exporter", name)
    check_requirements(entry)
    assert issubclass(entry.cls, Exporter)
    if precision not in entry.cls.precisions:
        raise KdsegError(f"--runtime {runtime}: {name} writes {', '.join(entry.cls.precisions)}")
    refuse_unmet(f"exporter {entry.qualified}", entry.cls.writes_with.get(precision, ()))
    exporter = make_exporter(entry)
    numbers = torch.Generator().manual_seed(0)
    example = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8, generator=numbers)
    with tempfile.TemporaryDirectory() as folder:
        made = 0

        def make(network: nn.Module, card: Mapping[str, Any]) -> SegmentationModel:
            nonlocal made
            made += 1
            whole = {
                **card,
                "exporter": entry.qualified,
                "input": "RGB uint8 N×3×H×W",
                "output": "classes",
                "size": list(size),
                "resize": None,
                "precision": precision,
            }
            file = Path(folder) / str(made) / f"network{exporter.suffix}"
            file.parent.mkdir()
            folded = DeployedGraph(SegmentationModel(network, card), logits=False, seen=None).eval().folded()
            ctx = ExportContext(
                file=file,
                module=folded,
                network=folded.network,
                example=example,
                size=size,
                precision=precision,
                calibration=lambda: [example] * _CALIBRATED,
                card=whole,
            )
            with exporter_told(runtime, "write the network"):
                exporter.build(ctx)
            return open_exported(file, trust_code=True, registry=registry)

        yield make
