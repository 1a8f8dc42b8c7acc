"""A diagnostic over trials of recipes: those that are missing are trained first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from kdseg.engine.check.phases import check
from kdseg.engine.folders.files import disk_told
from kdseg.engine.judge.arms import ArmRuns
from kdseg.engine.judge.diagnose import diagnostic
from kdseg.engine.study.children import Children, study_lock
from kdseg.engine.study.costs import costs_of
from kdseg.engine.study.trials import PlannedArm, plan_arm
from kdseg.errors import KdsegError, Problem, ProblemsError
from kdseg.recipe.load import load_recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kdseg.engine.check.phases import Checked
    from kdseg.engine.study.children import Watch
    from kdseg.engine.study.costs import Costs
    from kdseg.engine.study.planned import PlannedRun
    from kdseg.recipe.load import LoadedRecipe

FOLDER = "trials"
"""Below the folder of a recipe's runs: all trials of all its neighbours."""


@frozen(kw_only=True, eq=False)
class Diagnosis:
    """A diagnostic over trials of recipes, checked; nothing is written yet."""

    shown: LoadedRecipe
    """The recipe whose images are looked at."""
    folder: Path
    """Of the trials."""
    arms: tuple[PlannedArm, ...]
    costs: Mapping[str, Costs]
    """Of a trial of each arm, by its name."""
    warnings: tuple[str, ...]

    @property
    def runs(self) -> tuple[PlannedRun, ...]:
        """The trials of all arms."""
        return tuple(run for arm in self.arms for run in arm.runs)

    def train(self, watch: Watch, jobs: int, go_on: str) -> Mapping[str, str]:
        """Train what is missing.

        Args:
            watch: is told of every run.
            jobs: runs at once.
            go_on: the command that goes on, for those who must mend something first.

        Returns:
            Why each run failed that did, by its name.

        Raises:
            KdsegError: the folder cannot be written, or another process makes runs in it.
            SystemExit: after a signal, with a checkpoint of each run written.
        """
        with disk_told(self.folder, f"when that is mended, go on: {go_on}"), study_lock(self.folder):
            children = Children(folder=self.folder, jobs=jobs, watch=watch)
            children.make(self.runs)
        return children.failures

    def trained(self) -> tuple[ArmRuns, ...]:
        """Give the arms with the folders of their finished runs.

        Raises:
            KdsegError: somebody removed one.
        """
        return tuple(ArmRuns(arm=arm.arm, paths=[_folder(run) for run in arm.runs]) for arm in self.arms)


def _folder(run: PlannedRun) -> Path:
    folder = run.finished()
    if folder is None:
        raise KdsegError(f"{run.name}: its run was finished, and is gone")
    return folder


def plan_diagnosis(name: str, recipes: Sequence[str | Path], settings: Sequence[str]) -> Diagnosis:
    """Plan and check the trainings that a diagnostic wants to see.

    Args:
        name: the diagnostic's.
        recipes: one, or one and another that it is held against.
        settings: what each `--set` says of the diagnostic's options.

    Raises:
        KdsegError: the diagnostic looks at finished runs alone, or holds no recipes against each other.
        ProblemsError: with all that is wrong with the recipes.
    """
    loaded = [load_recipe(recipe) for recipe in recipes]
    component = diagnostic(name, settings, loaded[0])
    trainings = component.trainings()
    if trainings is None:
        raise KdsegError(f"{component.name} looks at finished runs: give their folders, not a recipe")
    if len(loaded) > 1 and not component.compares:
        raise KdsegError(f"{component.name} holds no trials against others; leave --against out")
    folder = loaded[0].recipe.output.folder / FOLDER
    arms = tuple(plan_arm(each, trainings, folder) for each in loaded)
    if len({arm.arm.name for arm in arms}) < len(arms):
        raise KdsegError(f"both recipes are called {arms[0].arm.name}; give one of them another `name`")
    checked = _checked(arms)
    costs = {arm.arm.name: costs_of(each) for arm, each in zip(arms, checked, strict=True)}
    warnings = [warning for each in checked for warning in each.warnings]
    return Diagnosis(
        shown=loaded[0],
        folder=folder,
        arms=arms,
        costs=costs,
        warnings=tuple(dict.fromkeys([*warnings, *_uneven(costs)])),
    )


def _checked(arms: Sequence[PlannedArm]) -> list[Checked]:
    """Check the first trial of each arm, and its teachers: the others differ from it in nothing that could be wrong."""
    problems: list[Problem] = []
    checked = []
    for arm in arms:
        try:
            for teacher in arm.teachers:
                check(teacher)
            checked.append(check(arm.asked))
        except ProblemsError as error:
            problems += error.problems
    if problems:
        raise ProblemsError(list(dict.fromkeys(problems)))
    return checked


def _uneven(costs: Mapping[str, Costs]) -> Iterator[str]:
    """Warn where a learner of one name takes more steps in one arm than in the other."""
    if len(costs) < 2:  # noqa: PLR2004 (nothing to compare)
        return
    (first, ours), (second, theirs) = costs.items()
    for learner in ours.steps.keys() & theirs.steps.keys():
        if ours.steps[learner] != theirs.steps[learner]:
            yield (
                f"{learner} takes {ours.steps[learner]} steps in {first} and {theirs.steps[learner]} in {second}: the "
                "difference is that of the steps, too"
            )
