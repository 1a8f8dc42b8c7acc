"""A participant's score, as callbacks read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.errors import KdsegError, did_you_mean

if TYPE_CHECKING:
    from kdseg.hooks import RunView


def score_of(run: RunView, participant: str, metric: str) -> float:
    """Give the participant's score at the last evaluation."""
    return run.values[f"val/{participant}/{metric}"]


def require_participant(run: RunView, participant: str) -> None:
    """Refuse a name that no participant has.

    Raises:
        KdsegError: with the nearest name.
    """
    if participant not in run.participants:
        raise KdsegError(
            f"callbacks: participant {participant!r} is unknown{did_you_mean(participant, run.participants)} "
            f"This run has {', '.join(run.participants)}"
        )
