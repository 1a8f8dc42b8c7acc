"""The kinds of component: a base class each, what its `build` is given, and the table of kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from kdseg.components.base import Component
from kdseg.components.images import ClassShares, Dataset, DatasetContext
from kdseg.components.judging import Diagnostic, DiagnosticContext, Metric, MetricContext
from kdseg.components.learning import Ensemble, EnsembleContext, Gate, GateContext, Loss, LossContext
from kdseg.components.networks import Backbone, BackboneContext, ExportContext, Exporter, RunnerContext
from kdseg.components.watching import Callback, CallbackContext

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "KINDS",
    "Backbone",
    "BackboneContext",
    "Callback",
    "CallbackContext",
    "ClassShares",
    "Component",
    "Dataset",
    "DatasetContext",
    "Diagnostic",
    "DiagnosticContext",
    "Ensemble",
    "EnsembleContext",
    "ExportContext",
    "Exporter",
    "Gate",
    "GateContext",
    "Kind",
    "Loss",
    "LossContext",
    "Metric",
    "MetricContext",
    "RunnerContext",
    "kind_of",
]


@frozen
class Kind:
    """One row of the table of kinds."""

    name: str
    base: type[Component]

    @property
    def plural(self) -> str:
        """The kind's name for several: ``losses``."""
        return self.name + ("es" if self.name.endswith("s") else "s")

    @property
    def hook(self) -> str:
        """The name of the hook that hands over components of this kind."""
        return f"kdseg_{self.plural}"


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("backbone", Backbone),
        Kind("dataset", Dataset),
        Kind("loss", Loss),
        Kind("ensemble", Ensemble),
        Kind("gate", Gate),
        Kind("metric", Metric),
        Kind("diagnostic", Diagnostic),
        Kind("callback", Callback),
        Kind("exporter", Exporter),
    )
}
"""Another kind costs its base class, its row here and its hook in `kdseg.hookspecs`."""


def kind_of(cls: type[Component]) -> Kind:
    """Give the kind that a component class belongs to."""
    return next(kind for kind in KINDS.values() if issubclass(cls, kind.base))
