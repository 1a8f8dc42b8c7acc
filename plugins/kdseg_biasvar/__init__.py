"""How much of a network's error is bias, and how much is chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg import hookimpl
from kdseg_biasvar.callbacks import RegularizationSamples
from kdseg_biasvar.components import BiasVariance

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg import Callback, Diagnostic


@hookimpl
def kdseg_diagnostics() -> Iterable[type[Diagnostic]]:
    """Hand over the diagnostics."""
    return [BiasVariance]


@hookimpl
def kdseg_callbacks() -> Iterable[type[Callback]]:
    """Hand over the callbacks."""
    return [RegularizationSamples]
