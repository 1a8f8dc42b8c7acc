"""Losses: on labels, on a source's logits and features, on the relations within them, on a learner's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.hookspecs import hookimpl
from kdseg_losses.components import feature, logit, regularisers, relation, supervised

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg.components import Loss


@hookimpl
def kdseg_losses() -> Iterable[type[Loss]]:
    """Hand over the losses."""
    return [*supervised.LOSSES, *logit.LOSSES, *feature.LOSSES, *relation.LOSSES, *regularisers.LOSSES]
