"""A participant's score, as callbacks read it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kdseg.errors import KdsegError, did_you_mean

if TYPE_CHECKING:
    from kdseg.hooks import RunView


def score_of(run: RunView, participant: str, metric: str) -> float:
    """Give the participant's score at the last evaluation.

    Raises:
        KdsegError: it is nan, which cannot be ranked.
    """
    score = run.values[f"val/{participant}/{metric}"]
    if math.isnan(score):
        raise KdsegError(
            f"step {run.step}: val/{participant}/{metric} is nan: the evaluation counted no pixel, so nothing can be "
            "kept or stopped by it; are the validation images labelled?"
        )
    return score


def require_participant(run: RunView, label: str, participant: str) -> None:
    """Refuse a name that no participant has.

    Raises:
        KdsegError: with the key of the recipe's callback `label` and the nearest name, or all where none is near.
    """
    if participant not in run.participants:
        hint = did_you_mean(participant, run.participants) or f"; there are {', '.join(run.participants)}"
        raise KdsegError(f"callbacks.{label}.participant: {participant!r} is no participant{hint}")
