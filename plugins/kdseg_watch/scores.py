"""What callbacks judge a run by: a participant's score, or the value of a term."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import frozen

from kdseg import KdsegError, OptionError, did_you_mean

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

    @classmethod
    def of(cls, ctx: CallbackContext, participant: str, metric: str, mode: str) -> Judge:
        """Take a callback's options; an empty metric is the recipe's, an empty mode the better one.

        Raises:
            OptionError: names that do not exist, with the nearest name or all of them.
        """
        metric = metric or ctx.metric
        known = [*ctx.scores, *(LOSS + term for term in ctx.terms)]
        if metric not in known:
            hint = did_you_mean(metric, known) or f"; there are {', '.join(known)}"
            raise OptionError([("metric", f"{metric!r} is no score and no term's value{hint}")])
        of_loss = metric.startswith(LOSS)
        if not of_loss:
            require_participant(ctx, participant)
        lower = mode == "less" if mode else of_loss
        return cls(label=ctx.label, participant=participant, metric=metric, lower=lower)

    @property
    def of_loss(self) -> bool:
        """Whether it is a term that is judged by."""
        return self.metric.startswith(LOSS)

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


def require_participant(ctx: CallbackContext, participant: str, option: str = "participant") -> None:
    """Refuse a name that no participant has.

    Raises:
        OptionError: with the nearest name, or all where none is near.
    """
    if participant not in ctx.taps:
        hint = did_you_mean(participant, ctx.taps) or f"; there are {', '.join(ctx.taps)}"
        raise OptionError([(option, f"{participant!r} is no participant{hint}")])
