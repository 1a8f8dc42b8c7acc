"""Callbacks that come with kdseg."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.hookspecs import hookimpl
from kdseg_watch.components import Checkpoint, EarlyStopping, GradientNorms, Hardware, Profiler
from kdseg_watch.picture_components import Gallery, LayerImages

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg.components import Callback


@hookimpl
def kdseg_callbacks() -> Iterable[type[Callback]]:
    """Hand over the callbacks."""
    return [Checkpoint, EarlyStopping, Gallery, LayerImages, Hardware, GradientNorms, Profiler]
