"""Who learns what from whom over a run, as far as it is known beforehand."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdseg.engine.learn.plan import Plan


def timeline(plan: Plan) -> list[dict[str, Any]]:
    """Give the stretches of a run in each of which the same terms have a weight.

    Returns:
        For each stretch its ``first`` and ``last`` step, from 1; ``turns``, each with its name (None where the recipe
        has none), the ``steps`` that it has there and its ``terms``; and ``idle``, the learners that learn nothing in
        it although every turn comes. A term has its learner, sources, loss, and its weight at the stretch's first and
        last step. Where a gate chooses the turns, each may have all steps of a stretch.
    """
    stretches = []
    for first, end in pairwise(plan.bounds):
        turns = [_turn(plan, turn, steps, first, end) for turn, steps, _ in plan.slots(first, end)]
        learning = {term["participant"] for turn in turns for term in turn["terms"]}
        stretches.append(
            {
                "first": first + 1,
                "last": end,
                "turns": turns,
                "idle": [name for name in plan.learner_names if name not in learning]
                if end - first >= plan.cycle
                else [],
            }
        )
    return stretches


def _turn(plan: Plan, turn: str | None, steps: int, first: int, end: int) -> dict[str, Any]:
    inside = first + (end - first) // 2  # at the ends a weight may be 0 still
    terms = []
    for active in plan.active(inside, turn):
        spec = plan.recipe.terms[active.name]
        terms.append(
            {
                "name": active.name,
                "participant": active.learner,
                "learner": spec.learner,
                "sources": list(spec.source),
                "loss": spec.loss.name,
                "weight": [spec.weight_at(step / plan.total_steps) for step in (first, end - 1)],
            }
        )
    return {"turn": turn, "steps": steps, "terms": terms}
