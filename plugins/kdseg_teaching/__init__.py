"""How much a trained teacher has to teach, before a student is spent on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.hookspecs import hookimpl
from kdseg_teaching.components import Teachability

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg.components import Diagnostic


@hookimpl
def kdseg_diagnostics() -> Iterable[type[Diagnostic]]:
    """Hand over the diagnostics."""
    return [Teachability]
