"""What must hold before a sweep trains anything: sound recipes, equal steps, the same images to judge on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from kdseg.engine.check.phases import check
from kdseg.engine.models.weights import weighted_models
from kdseg.engine.study.costs import costs_of
from kdseg.errors import Problem, ProblemsError
from kdseg.recipe.load import LoadedRecipe, load_recipe
from kdseg.recipe.schema import Learner, Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kdseg.engine.check.phases import Checked
    from kdseg.engine.study.costs import Costs
    from kdseg.engine.study.runs import Variant
    from kdseg.engine.study.sweep_file import SweepFile


@frozen(kw_only=True, eq=False)
class Row:
    """A row of the table before its runs: an arm at a point of its grid, checked."""

    variant: Variant
    learner: str
    """Who is judged."""
    costs: Costs
    against: str
    """The label of the row that it is held against; its own for the baseline."""
    warnings: tuple[str, ...]

    @property
    def label(self) -> str:
        """What the table calls it."""
        return self.variant.label


def check_sweep(file: SweepFile, variants: Sequence[Variant]) -> tuple[Row, ...]:
    """Check every recipe, and that the rows can be compared.

    Raises:
        ProblemsError: with all that is wrong.
    """
    problems: list[Problem] = []
    checked: list[Checked] = []
    for variant in variants:
        try:
            for teacher in _teachers(variant.asked).values():
                check(teacher)
            checked.append(check(variant.asked))
        except ProblemsError as error:
            problems += error.problems
    _end(problems)
    learners = {variant.label: _learner(file, variant, problems) for variant in variants}
    _end(problems)
    rows = tuple(
        Row(
            variant=variant,
            learner=learners[variant.label],
            costs=costs_of(found),
            against=_against(file, variant, variants).label,
            warnings=found.warnings,
        )
        for variant, found in zip(variants, checked, strict=True)
    )
    _compare(file, rows, problems)
    _end(problems)
    return rows


def _end(problems: Sequence[Problem]) -> None:
    if problems:
        raise ProblemsError(list(dict.fromkeys(problems)))


def _teachers(loaded: LoadedRecipe) -> dict[Path, LoadedRecipe]:
    """Give the recipes that are trained before this one."""
    found: dict[Path, LoadedRecipe] = {}
    for _, _, weights in weighted_models(loaded.recipe):
        if weights.recipe is not None:
            teacher = load_recipe(weights.recipe)
            found |= {weights.recipe: teacher} | _teachers(teacher)
    return found


def _learner(file: SweepFile, variant: Variant, problems: list[Problem]) -> str:
    """Say who is judged: who the sweep names, the student, or the only one."""
    learners = [name for name, model in variant.asked.recipe.models.items() if isinstance(model, Learner)]
    wanted = file.sweep.learner or ("student" if "student" in learners or len(learners) > 1 else learners[0])
    if wanted not in learners:
        known = f"the learners of arm {variant.arm!r} are {', '.join(learners)}"
        problems.append(file.problem(("sweep", "learner"), f"no learner {wanted!r}: {known}"))
    return wanted


def _against(file: SweepFile, variant: Variant, variants: Sequence[Variant]) -> Variant:
    """Give what a row is held against: the baseline at the same point of the grid, else at its first."""
    baselines = [other for other in variants if other.arm == file.baseline]
    same = [other for other in baselines if other.point == variant.point and variant.arm != file.baseline]
    return (same or baselines)[0]


def _compare(file: SweepFile, rows: Sequence[Row], problems: list[Problem]) -> None:
    """Refuse rows that were judged otherwise than the one that they are held against, or that learn longer."""
    by_label = {row.label: row for row in rows}
    for row in rows:
        other, place = by_label[row.against], ("sweep", "arms", row.variant.arm)
        ours, theirs = row.costs.steps[row.learner], other.costs.steps[other.learner]
        if ours != theirs and file.sweep.equal_steps:
            problems.append(
                file.problem(
                    place,
                    f"{row.learner} takes {ours} steps in {row.label!r} and {theirs} in {other.label!r}: unfair; "
                    f"let all take as many by set = {{ train.steps_of.{row.learner} = … }}, or say equal_steps = false",
                )
            )
        problems += [
            file.problem(place, f"{row.label!r} is judged with another {what} than {other.label!r}")
            for what in judged_otherwise(row.variant.asked.recipe, other.variant.asked.recipe)
        ]


def judged_otherwise(one: Recipe, other: Recipe) -> list[str]:
    """Name all that decides what a score means, and differs between two recipes."""
    theirs = _judged(other)
    return [what for what, value in _judged(one).items() if value != theirs[what]]


def _judged(recipe: Recipe) -> Mapping[str, Any]:
    """Give all that decides what a score means."""
    spec = recipe.evaluate
    return {
        "data.val": recipe.data.val,
        "data.seed": recipe.data.seed if recipe.data.val.draws else None,  # of others it changes no image of `val`
        "evaluate.metric": spec.metric,
        "evaluate.window, scales or flip": (spec.window, spec.overlap if spec.window else None, spec.scales, spec.flip),
    }
