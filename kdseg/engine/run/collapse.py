"""Ends a run in which a learner has come to nothing, before more hours go into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.engine.folders.run_folder import CHECKPOINTS
from kdseg.errors import KdsegError, display_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from kdseg.engine.judge.evaluate import Judgement
    from kdseg.engine.run.state import Run

SETTLED = 1 / 5
"""The share of its steps after which a learner must have found something."""
LEAST_STEPS = 100
"""Those that it has for that at least: a short trial of a recipe is no wasted run."""
NEARLY_ALL = 0.99
"""Of the pixels."""
FOUND = 0.1
"""The share of the other classes' pixels that a learner finds which has not come to nothing, however rare they are."""
IN_A_ROW = 2
"""Evaluations at which a learner may name one class, but for the last."""


def refuse_collapse(run: Run, judgements: Mapping[str, Judgement]) -> None:
    """Look at the evaluation just made.

    Raises:
        KdsegError: a learner with enough steps behind it names one class nearly everywhere for the second time in a row
            though the labels do not and it misses most of the others, or its score is under half of its best.
    """
    if not run.recipe.evaluate.stop_on_collapse:
        return
    for name, learner in run.stepper.learners.items():
        if learner.steps < max(LEAST_STEPS, SETTLED * run.plan.learner_steps[name]):
            continue
        label, share = _one_class(judgements[name].matrix)
        run.one_class[name] = run.one_class.get(name, 0) + 1 if share > NEARLY_ALL else 0
        if run.one_class[name] >= IN_A_ROW:
            named = run.classes.names[label]
            raise _ended(run, f"{name} names {100 * share:.1f} % of the pixels {named!r}, for the second time in a row")
        metric = run.recipe.evaluate.metric
        value, best = run.scores[name][metric], run.best[name]
        if value < best["value"] / 2:
            found = f"{metric} of {name} fell to {value:.4f}, under half of {best['value']:.4f} at step {best['step']}"
            raise _ended(run, found)


def _one_class(matrix: Tensor) -> tuple[int, float]:
    """Give the class that is named most and its share of the pixels; 0 where the labels nearly have it, too.

    They do where as large a share has that label, or where a good part of the other classes is found.
    """
    total = matrix.sum().clamp(min=1)
    named, labelled = (matrix.sum(axis).double() / total for axis in (0, 1))
    share, label = named.max(0)
    others = matrix.sum() - matrix[label].sum()
    found = (matrix.trace() - matrix[label, label]) / others.clamp(min=1)
    fits = labelled[label] > NEARLY_ALL or found > FOUND
    return int(label), 0.0 if fits else float(share)


def _ended(run: Run, found: str) -> KdsegError:
    kept = max((path.name for path in (run.folder / CHECKPOINTS).glob("step-*")), default="none yet")
    return KdsegError(
        f"step {run.step}: {found}: the run ends here. A lower learning rate, `clip`, another balance of its terms' "
        "weights, or class weights may mend it; evaluate.stop_on_collapse = false lets it go on. Its last checkpoint "
        f"({kept}) and its best weights lie in {display_path(run.folder)}"
    )
