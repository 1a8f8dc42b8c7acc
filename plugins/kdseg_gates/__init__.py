"""Gates: who learns next, by what the last step showed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.hookspecs import hookimpl
from kdseg_gates.components import Plateau, SwitOKD

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg.components import Gate


@hookimpl
def kdseg_gates() -> Iterable[type[Gate]]:
    """Hand over the gates."""
    return [SwitOKD, Plateau]
