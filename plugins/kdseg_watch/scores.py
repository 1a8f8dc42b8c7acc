"""What callbacks judge a run by: a participant's score, or the value of a term."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import frozen

from kdseg.errors import KdsegError, did_you_mean

if TYPE_CHECKING:
    from kdseg.components import CallbackContext
    from kdseg.hooks import RunView

LOSS = "loss/"


@frozen(kw_only=True)
class Judge:
    """One of a run's values, and which way it is better."""

    label: str
    """Of the callback's table."""
    participant: str
    metric: str
    """As the recipe says it: a score of the participant, or ``loss/TERM``."""
    lower: bool
    """Whether less is better."""
    scores: tuple[str, ...]
    terms: tuple[str, ...]

    @classmethod
    def of(cls, ctx: CallbackContext, participant: str, metric: str, mode: str) -> Judge:
        """Take a callback's options; an empty metric is the recipe's."""
        return cls(
            label=ctx.label,
            participant=participant,
            metric=metric or ctx.metric,
            lower=mode == "less",
            scores=ctx.scores or (ctx.metric,),
            terms=ctx.terms,
        )

    @property
    def of_loss(self) -> bool:
        """Whether it is a term that is judged by."""
        return self.metric.startswith(LOSS)

    def require(self, run: RunView) -> None:
        """Refuse names that do not exist, before hours are spent.

        Raises:
            KdsegError: with the key of the recipe's callback, and the nearest name or all of them.
        """
        known = [*self.scores, *(LOSS + term for term in self.terms)]
        if self.metric not in known:
            hint = did_you_mean(self.metric, known) or f"; there are {', '.join(known)}"
            raise KdsegError(f"callbacks.{self.label}.metric: {self.metric!r} is no score and no term's value{hint}")
        if not self.of_loss:
            require_participant(run, self.label, self.participant)

    def value(self, run: RunView) -> float | None:
        """Give the present value; None where it is a term that did not count yet.

        Raises:
            KdsegError: it is nan, which cannot be ranked.
        """
        if self.of_loss:
            return run.values.get(self.metric)
        return score_of(run, self.participant, self.metric)

    def gain(self, value: float, over: float) -> float:
        """Give by how much a value is better than another."""
        return over - value if self.lower else value - over

    def __str__(self) -> str:
        """Say what it is for a person."""
        return self.metric if self.of_loss else f"{self.participant} {self.metric}"


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


def require_participant(run: RunView, label: str, participant: str, option: str = "participant") -> None:
    """Refuse a name that no participant has.

    Raises:
        KdsegError: with the key of the recipe's callback `label` and the nearest name, or all where none is near.
    """
    if participant not in run.participants:
        hint = did_you_mean(participant, run.participants) or f"; there are {', '.join(run.participants)}"
        raise KdsegError(f"callbacks.{label}.{option}: {participant!r} is no participant{hint}")
