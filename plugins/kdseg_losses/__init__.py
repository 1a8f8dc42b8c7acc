"""Losses: on labels, on a source's logits and features, on the relations within them, on a learner's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.hookspecs import hookimpl
from kdseg_losses.components.feature import LOSSES as FEATURE
from kdseg_losses.components.logit import LOSSES as LOGIT
from kdseg_losses.components.regularisers import LOSSES as REGULARISERS
from kdseg_losses.components.relation import LOSSES as RELATION
from kdseg_losses.components.supervised import LOSSES as SUPERVISED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg.components import Loss


@hookimpl
def kdseg_losses() -> Iterable[type[Loss]]:
    """Hand over the losses."""
    return [*SUPERVISED, *LOGIT, *FEATURE, *RELATION, *REGULARISERS]
