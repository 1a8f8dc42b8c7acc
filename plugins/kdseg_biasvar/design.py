"""Which trials stand in an arm, and which of them share a training set."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from attrs import frozen

from kdseg import Arm, KdsegError

if TYPE_CHECKING:
    from kdseg import DiagnosticContext


@frozen(kw_only=True)
class Design:
    """The trials of an arm: `samples` training sets, each learned from `seeds` times.

    Trials that all share one training set count as as many samples: then the seed is all that differs.
    """

    name: str
    description: str
    samples: int
    seeds: int
    numbers: tuple[int, ...]
    """Of each sample's training set; two arms learned from the same where the numbers are the same."""
    one_set: bool
    """Whether all trials learned from the same images."""

    @property
    def trials(self) -> int:
        """How many trials there are."""
        return self.samples * self.seeds

    @property
    def left_out(self) -> int:
        """How many samples are left out in turn: two of three are the least that still vary."""
        return self.samples if self.samples > 2 else 0  # noqa: PLR2004


def designs(ctx: DiagnosticContext) -> tuple[Design, ...]:
    """Give the arms' designs.

    Raises:
        KdsegError: some training sets were learned from more often than others.
        ValueError: the trials of a training set are apart, or more trials are promised than the arms hold.
    """
    trials = ctx.trials - (ctx.reference is not None)
    arms = ctx.arms or (Arm(name="trials", samples=tuple(range(trials)), description=f"{trials} trained networks"),)
    found = tuple(_design(arm) for arm in arms)
    if sum(design.trials for design in found) != trials:
        raise ValueError(f"{trials} trials are promised; the arms hold {[design.trials for design in found]}")
    return found


def _design(arm: Arm) -> Design:
    runs = {number: len([*group]) for number, group in groupby(arm.samples)}
    if sum(runs.values()) != len(arm.samples):
        raise ValueError(f"the trials of a training set come one after the other; found {arm.samples}")
    if len({*runs.values()}) > 1:
        each = ", ".join(f"{count} of set {number}" for number, count in runs.items())
        raise KdsegError(
            f"biasvar: {arm.name}: each training set needs as many trainings as the others; found {each}. Give as many "
            "of each, or one of each"
        )
    one_set = len(runs) == 1
    return Design(
        name=arm.name,
        description=arm.description,
        samples=len(arm.samples) if one_set else len(runs),
        seeds=1 if one_set else runs[arm.samples[0]],
        numbers=tuple(arm.samples) if one_set else tuple(runs),
        one_set=one_set,
    )
