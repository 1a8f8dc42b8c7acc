"""Losses: on labels, on a source's logits and features, on the relations within them, on a learner's own; ensembles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.hookspecs import hookimpl
from kdseg_losses.components.ensembles import ENSEMBLES
from kdseg_losses.components.feature import LOSSES as FEATURE
from kdseg_losses.components.logit import LOSSES as LOGIT
from kdseg_losses.components.regularisers import LOSSES as REGULARISERS
from kdseg_losses.components.relation import LOSSES as RELATION
from kdseg_losses.components.supervised import LOSSES as SUPERVISED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg.components import Ensemble, Loss


@hookimpl
def kdseg_losses() -> Iterable[type[Loss]]:
    """Hand over the losses."""
    return [*SUPERVISED, *LOGIT, *FEATURE, *RELATION, *REGULARISERS]


@hookimpl
def kdseg_ensembles() -> Iterable[type[Ensemble]]:
    """Hand over the ways in which several sources become one."""
    return ENSEMBLES
