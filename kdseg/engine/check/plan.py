"""What the whole run never reaches: turns, terms and learners."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.errors import did_you_mean
from kdseg.metrics.segmentation import scores_to_judge_by
from kdseg.recipe.schema import Learner

if TYPE_CHECKING:
    from kdseg.engine.check.problems import Found
    from kdseg.engine.learn.plan import Plan


def check_plan(found: Found, plan: Plan) -> None:
    """Refuse turns, terms and learners that the whole run never reaches."""
    recipe = found.loaded.recipe
    known = scores_to_judge_by(recipe.evaluate.metrics)
    if recipe.evaluate.metric not in known:
        hint = did_you_mean(recipe.evaluate.metric, known) or f"; known are {', '.join(known)}"
        found.add("evaluate.metric", f"unknown metric {recipe.evaluate.metric!r}{hint}")
    steps = f"in the run's {plan.total_steps} steps" if plan.total_steps > 1 else "in the run's only step"
    for turn in plan.idle_turns:
        if plan.comes(turn):
            message = f"no term counts in turn {turn!r} {steps}: give it a term, or take it out"
        else:
            message = f"turn {turn!r} never comes {steps}: make the run longer, or take it out"
        found.add("turns.order", message)
    for name, wanted in (recipe.train.steps_of or {}).items():
        if 0 < plan.learner_steps[name] != wanted:
            found.add(
                "train.steps_of",
                f"{name!r} takes {plan.learner_steps[name]} {steps}, not {wanted}: the weights of its terms are 0 "
                "at the others; give the length as `steps` or `epochs`",
            )
    for name in recipe.terms:
        if not plan.term_steps[name]:
            found.add(f"terms.{name}", f"never counts {steps}: its turn does not come, or its weight is 0")
    for name, model in recipe.models.items():
        if isinstance(model, Learner) and not plan.learner_steps[name]:
            found.add(
                f"models.{name}",
                f"never learns {steps}: give it a term, freeze it with `frozen = true`, or take it out",
            )
