"""kdseg: distil large segmentation networks into small ones that run in real time."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**27))  # OpenCV reads it when the first module imports it

if TYPE_CHECKING:
    from kdseg.boundaries import boundary
    from kdseg.cache import cache_folder
    from kdseg.components import (
        Backbone,
        BackboneContext,
        Callback,
        CallbackContext,
        ClassShares,
        Dataset,
        DatasetContext,
        Diagnostic,
        DiagnosticContext,
        Ensemble,
        EnsembleContext,
        ExportContext,
        Exporter,
        Gate,
        GateContext,
        Loss,
        LossContext,
        Metric,
        MetricContext,
        RunnerContext,
    )
    from kdseg.data.class_weights import CLASS_WEIGHTS
    from kdseg.data.image_files import read_colours, read_labels, read_numbers, read_palette, read_rgb
    from kdseg.data.image_samples import ImageSamples, MaskReader
    from kdseg.data.samples import IGNORE_INDEX, ClassTable, Defect, FileSamples, Sample, Samples
    from kdseg.data.submission import Submission
    from kdseg.diagnostics import Accumulator, Arm, Example, Findings, Trainings
    from kdseg.engine.folders.metrics_file import read_metrics
    from kdseg.engine.models.model import load
    from kdseg.ensembles import Combination
    from kdseg.errors import KdsegError, OptionError, did_you_mean
    from kdseg.exports import Runner
    from kdseg.gates import TurnGate
    from kdseg.hooks import Hooks, RunView
    from kdseg.hookspecs import hookimpl
    from kdseg.losses import FusedLoss, LossCall, LossModule, PixelLoss, Prediction, full_precision, valid_cells
    from kdseg.metrics.measure import Measure
    from kdseg.proposals import Proposal
    from kdseg.statistics import t_quantile

_HOMES = {
    "kdseg.boundaries": ("boundary",),
    "kdseg.cache": ("cache_folder",),
    "kdseg.components": (
        "Backbone", "BackboneContext", "Callback", "CallbackContext", "ClassShares", "Dataset", "DatasetContext",
        "Diagnostic", "DiagnosticContext", "Ensemble", "EnsembleContext", "ExportContext", "Exporter", "Gate",
        "GateContext", "Loss", "LossContext", "Metric", "MetricContext", "RunnerContext",
    ),
    "kdseg.data.class_weights": ("CLASS_WEIGHTS",),
    "kdseg.data.image_files": ("read_colours", "read_labels", "read_numbers", "read_palette", "read_rgb"),
    "kdseg.data.image_samples": ("ImageSamples", "MaskReader"),
    "kdseg.data.samples": ("IGNORE_INDEX", "ClassTable", "Defect", "FileSamples", "Sample", "Samples"),
    "kdseg.data.submission": ("Submission",),
    "kdseg.diagnostics": ("Accumulator", "Arm", "Example", "Findings", "Trainings"),
    "kdseg.ensembles": ("Combination",),
    "kdseg.engine.folders.metrics_file": ("read_metrics",),
    "kdseg.engine.models.model": ("load",),
    "kdseg.errors": ("KdsegError", "OptionError", "did_you_mean"),
    "kdseg.exports": ("Runner",),
    "kdseg.gates": ("TurnGate",),
    "kdseg.hooks": ("Hooks", "RunView"),
    "kdseg.hookspecs": ("hookimpl",),
    "kdseg.metrics.measure": ("Measure",),
    "kdseg.proposals": ("Proposal",),
    "kdseg.statistics": ("t_quantile",),
    "kdseg.losses": (
        "FusedLoss", "LossCall", "LossModule", "PixelLoss", "Prediction", "full_precision", "valid_cells",
    ),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "CLASS_WEIGHTS",
    "IGNORE_INDEX",
    "Accumulator",
    "Arm",
    "Backbone",
    "BackboneContext",
    "Callback",
    "CallbackContext",
    "ClassShares",
    "ClassTable",
    "Combination",
    "Dataset",
    "DatasetContext",
    "Defect",
    "Diagnostic",
    "DiagnosticContext",
    "Ensemble",
    "EnsembleContext",
    "Example",
    "ExportContext",
    "Exporter",
    "FileSamples",
    "Findings",
    "FusedLoss",
    "Gate",
    "GateContext",
    "Hooks",
    "ImageSamples",
    "KdsegError",
    "Loss",
    "LossCall",
    "LossContext",
    "LossModule",
    "MaskReader",
    "Measure",
    "Metric",
    "MetricContext",
    "OptionError",
    "PixelLoss",
    "Prediction",
    "Proposal",
    "RunView",
    "Runner",
    "RunnerContext",
    "Sample",
    "Samples",
    "Submission",
    "Trainings",
    "TurnGate",
    "boundary",
    "cache_folder",
    "did_you_mean",
    "full_precision",
    "hookimpl",
    "load",
    "read_colours",
    "read_labels",
    "read_metrics",
    "read_numbers",
    "read_palette",
    "read_rgb",
    "t_quantile",
    "valid_cells",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that `import kdseg` stays quick and free of torch."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'kdseg' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value
