"""What a run costs, counted before it is made: steps and floating-point operations."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from attrs import frozen
from torch.utils.flop_counter import FlopCounterMode

from kdseg.engine.check.phases import check
from kdseg.engine.learn.build import META, build_participants
from kdseg.engine.models.weights import weighted_models
from kdseg.errors import display_path
from kdseg.recipe.load import load_recipe
from kdseg.recipe.schema import Learner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kdseg.engine.check.phases import Checked
    from kdseg.engine.learn.plan import ActiveTerm, Plan

LEARNING = 3
"""Forward passes that a learner's step is worth: its own, and a backward pass of twice the work."""


@frozen(kw_only=True)
class Costs:
    """What training a recipe takes."""

    steps: Mapping[str, int]
    """Optimizer steps of each learner."""
    flops: float
    """Floating-point operations of the networks in training, evaluations and losses left out."""
    before: Mapping[str, int]
    """Steps of the learners of the recipes that are trained first, as ``teacher.toml: teacher``."""
    flops_before: float
    """What they take."""
    uncounted: tuple[str, ...] = ()
    """Runs and files that weights come from by their path: nobody knows here what they took."""


def costs_of(checked: Checked) -> Costs:
    """Count what a recipe takes, and what those take that its weights come from."""
    recipe = checked.loaded.recipe
    steps = {
        name: checked.plan.learner_steps[name] for name, model in recipe.models.items() if isinstance(model, Learner)
    }
    before: dict[str, int] = {}
    flops_before, uncounted = 0.0, list[str]()
    for file in dict.fromkeys(weights.recipe for _, _, weights in weighted_models(recipe)):
        if file is not None:
            theirs = costs_of(check(load_recipe(file)))
            before |= {**theirs.before} | {f"{file.name}: {name}": count for name, count in theirs.steps.items()}
            flops_before += theirs.flops + theirs.flops_before
            uncounted += theirs.uncounted
    origins = [weights.run or weights.file for _, _, weights in weighted_models(recipe)]
    uncounted += [display_path(origin) for origin in origins if origin is not None]
    return Costs(
        steps=steps,
        flops=training_flops(checked.plan, forward_flops(checked)) * recipe.train.batch_size,
        before=before,
        flops_before=flops_before,
        uncounted=tuple(uncounted),
    )


def forward_flops(checked: Checked) -> dict[str, int]:
    """Count the operations of each participant's forward pass over one training image, on the meta device."""
    counted = {}
    for name, participant in build_participants(checked.loaded.recipe, len(checked.classes), META).items():
        participant.set_training(False)  # of one image, batch normalisation may have but one value
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            participant.predict(torch.empty(1, 3, *checked.image_size, device=META))
        counted[name] = counter.get_total_flops()
    return counted


def training_flops(plan: Plan, forward: Mapping[str, int]) -> float:
    """Add up all steps of a run, for one image a step.

    A learner's step is its forward pass and a backward pass of twice the work. A participant that is only a source
    runs forward, once for a version of its weights; one that learns in the same group is there already. Where a gate
    chooses the turns, the dearest is counted throughout.

    Args:
        plan: the run's.
        forward: the operations of each participant's forward pass.
    """
    total = 0.0
    for first, end in pairwise(plan.bounds):
        turns = [
            steps * _step_flops(plan, plan.active(step, turn), forward) for turn, steps, step in plan.slots(first, end)
        ]
        total += max(turns) if plan.gated else sum(turns)
    return total


def _step_flops(plan: Plan, active: tuple[ActiveTerm, ...], forward: Mapping[str, int]) -> int:
    total, there = 0, set[str]()
    for group in plan.groups(active):
        learners = {term.learner for term in group}
        sources = {source for term in group for source in term.sources} - learners - there
        total += sum(LEARNING * forward[name] for name in learners) + sum(forward[name] for name in sources)
        there = (there | sources) - learners  # stepped: another version
    return total
