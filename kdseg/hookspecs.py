"""The hooks of a plugin: one a kind, each handing over component classes.

A plugin is a module named by an entry point of the group ``kdseg``::

    [project.entry-points.kdseg]
    mine = "my_package"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg.components import Backbone, Callback, Dataset, Diagnostic, Ensemble, Exporter, Gate, Loss, Metric

hookspec = pluggy.HookspecMarker("kdseg")
hookimpl = pluggy.HookimplMarker("kdseg")


@hookspec
def kdseg_backbones() -> Iterable[type[Backbone]]:  # type: ignore[empty-body]
    """Hand over backbones.

    Example::

        @hookimpl
        def kdseg_backbones():
            return [UNet1M, UNet70M]
    """


@hookspec
def kdseg_datasets() -> Iterable[type[Dataset]]:  # type: ignore[empty-body]
    """Hand over datasets.

    Example::

        @hookimpl
        def kdseg_datasets():
            return [CamVid]
    """


@hookspec
def kdseg_losses() -> Iterable[type[Loss]]:  # type: ignore[empty-body]
    """Hand over losses.

    Example::

        @hookimpl
        def kdseg_losses():
            return [PixelKL]
    """


@hookspec
def kdseg_ensembles() -> Iterable[type[Ensemble]]:  # type: ignore[empty-body]
    """Hand over ensembles.

    Example::

        @hookimpl
        def kdseg_ensembles():
            return [Probabilities]
    """


@hookspec
def kdseg_gates() -> Iterable[type[Gate]]:  # type: ignore[empty-body]
    """Hand over gates.

    Example::

        @hookimpl
        def kdseg_gates():
            return [Plateau]
    """


@hookspec
def kdseg_metrics() -> Iterable[type[Metric]]:  # type: ignore[empty-body]
    """Hand over metrics.

    Example::

        @hookimpl
        def kdseg_metrics():
            return [CityscapesScores]
    """


@hookspec
def kdseg_diagnostics() -> Iterable[type[Diagnostic]]:  # type: ignore[empty-body]
    """Hand over diagnostics.

    Example::

        @hookimpl
        def kdseg_diagnostics():
            return [BiasVariance]
    """


@hookspec
def kdseg_callbacks() -> Iterable[type[Callback]]:  # type: ignore[empty-body]
    """Hand over callbacks.

    Example::

        @hookimpl
        def kdseg_callbacks():
            return [Gallery]
    """


@hookspec
def kdseg_exporters() -> Iterable[type[Exporter]]:  # type: ignore[empty-body]
    """Hand over exporters.

    Example::

        @hookimpl
        def kdseg_exporters():
            return [OnnxFile]
    """
