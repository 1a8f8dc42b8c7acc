"""Which terms count at which step: pure functions of the recipe and the step."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from attrs import frozen

from kdseg.recipe.curves import Points

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdseg.recipe.schema import Recipe, Term


@frozen(kw_only=True)
class ActiveTerm:
    """A term that counts at a step, with its weight there."""

    name: str
    learner: str
    source: str | None
    weight: float


@frozen(kw_only=True, slots=False)
class Plan:
    """What a run does, step by step, known before it starts."""

    recipe: Recipe
    steps_per_epoch: int

    @cached_property
    def total_steps(self) -> int:
        """Optimizer steps of the run."""
        train = self.recipe.train
        if train.steps is not None:
            return train.steps
        if train.epochs is not None:
            return train.epochs * self.steps_per_epoch
        assert train.steps_of is not None
        ((learner, wanted),) = train.steps_of.items()
        return self._steps_until(learner, wanted)

    def epoch(self, step: int) -> int:
        """The epoch that a step belongs to, from 0."""
        return step // self.steps_per_epoch

    def turn(self, step: int) -> str | None:
        """The turn of a step; None where the recipe has no turns."""
        turns = self.recipe.turns
        if turns is None:
            return None
        slot = step if turns.unit == "step" else self.epoch(step)
        return turns.order[slot % len(turns.order)]

    def active(self, step: int) -> tuple[ActiveTerm, ...]:
        """The terms that count at a step: in its turn, and with a weight above 0."""
        turn, progress = self.turn(step), step / self.total_steps
        return tuple(
            ActiveTerm(name=name, learner=term.learner, source=term.source, weight=weight)
            for name, term in self.recipe.terms.items()
            if _in_turn(term, turn) and (weight := term.weight_at(progress)) > 0
        )

    def groups(self, active: tuple[ActiveTerm, ...]) -> list[list[ActiveTerm]]:
        """Split a step's terms into those whose learners step together, in the order in which they step."""
        by_learner: dict[str, list[ActiveTerm]] = {}
        for name in self.recipe.models:
            terms = [term for term in active if term.learner == name]
            if terms:
                by_learner[name] = terms
        if self.recipe.turns is not None and self.recipe.turns.sync == "sequential":
            return list(by_learner.values())
        together = [term for terms in by_learner.values() for term in terms]
        return [together] if together else []

    @cached_property
    def learner_steps(self) -> Counter[str]:
        """How many optimizer steps each learner takes in the whole run."""
        return self._census[0]

    @cached_property
    def term_steps(self) -> Counter[str]:
        """At how many steps each term counts."""
        return self._census[1]

    @cached_property
    def idle_turns(self) -> tuple[str, ...]:
        """Turns of the order in which, over the whole run, no term ever counts, or that never come."""
        order = () if self.recipe.turns is None else self.recipe.turns.order
        return tuple(turn for turn in dict.fromkeys(order) if not self._census[2][turn])

    @cached_property
    def _census(self) -> tuple[Counter[str], Counter[str], Counter[str]]:
        learners: Counter[str] = Counter()
        terms: Counter[str] = Counter()
        turns: Counter[str] = Counter()
        for turn, steps, active in self.stretches():
            terms.update({term.name: steps for term in active})
            learners.update({term.learner: steps for term in active})
            if turn is not None and active:
                turns[turn] += steps
        return learners, terms, turns

    def stretches(self) -> Iterator[tuple[str | None, int, tuple[ActiveTerm, ...]]]:
        """Give all steps of the run, those together at which the same terms count: their turn, how many, the terms.

        The weights are those of one of these steps.
        """
        for first, end in pairwise(self._bounds()):  # the same terms have a weight at all of these steps
            for turn, steps, step in self._slots(first, end):
                yield turn, steps, self.active(step)

    def comes(self, turn: str) -> bool:
        """Whether a turn of the order comes in this run."""
        return any(turn == name for name, _, _ in self._slots(0, self.total_steps))

    def _slots(self, first: int, end: int) -> Iterator[tuple[str | None, int, int]]:
        """Give, for each slot of the order that comes in steps `first` to `end`: its turn, how many, the first."""
        turns = self.recipe.turns
        if turns is None:
            yield None, end - first, first
            return
        length = 1 if turns.unit == "step" else self.steps_per_epoch
        period = length * len(turns.order)
        for slot, turn in enumerate(turns.order):
            start = slot * length
            before, until = (
                step // period * length + min(max(step % period - start, 0), length) for step in (first, end)
            )
            if until > before:
                inside = start <= first % period < start + length
                yield turn, until - before, first if inside else first + (start - first) % period

    def _bounds(self) -> list[int]:
        """Give steps, 0 and the end among them, from each of which to the next each weight is either 0 or is not.

        A weight is monotone between its points, so it becomes 0, or leaves 0, once between them at most.
        """
        total = self.total_steps
        bounds = {0, total}
        for term in self.recipe.terms.values():
            points = term.weight.at if isinstance(term.weight, Points) else (0.0, 1.0)
            near = (int(share * total) + offset for share in points for offset in (-1, 0, 1, 2))
            steps = sorted({0, total - 1, *(step for step in near if 0 <= step < total)})
            for low, high in pairwise(steps):
                if (becomes := _weighs(term, high, total)) != _weighs(term, low, total):
                    between = range(low, high + 1)
                    bounds.add(between[bisect_left(between, True, key=lambda at: _weighs(term, at, total) is becomes)])  # noqa: FBT003 (asked at once; what is looked for)
        return sorted(bounds)

    def _steps_until(self, learner: str, wanted: int) -> int:
        """Steps until a learner's turn has come so often. Curves that touch 0 are not foreseen; the check tells."""
        terms = [term for term in self.recipe.terms.values() if term.learner == learner and term.weight != 0]
        turns = self.recipe.turns
        if turns is None:
            return wanted
        per_slot = 1 if turns.unit == "step" else self.steps_per_epoch
        mine = [any(_in_turn(term, turn) for term in terms) for turn in turns.order]
        if not any(mine):
            return wanted  # the check tells that it never learns
        rounds, rest = divmod(wanted - 1, sum(mine) * per_slot)
        rest += 1  # at least one is left for the last round, so that the run ends on a step of the learner's
        steps = rounds * len(mine) * per_slot
        for slot in mine:
            if rest <= 0:
                break
            steps += min(per_slot, rest) if slot else per_slot
            rest -= per_slot if slot else 0
        return steps


def _in_turn(term: Term, turn: str | None) -> bool:
    return not term.turn or turn in term.turn


def _weighs(term: Term, step: int, total: int) -> bool:
    return term.weight_at(step / total) > 0
