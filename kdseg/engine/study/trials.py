"""Trials: one recipe trained on several training sets, with several seeds, as a diagnostic wants to see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

from kdseg.diagnostics import Arm
from kdseg.engine.folders.run_folder import recipe_digest
from kdseg.engine.models.weights import weighted_models
from kdseg.engine.study.planned import plan_run
from kdseg.errors import KdsegError, display_path
from kdseg.recipe.load import load_recipe
from kdseg.recipe.schema import Learner, Output
from kdseg.recipe.schema_train import Resample

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kdseg.diagnostics import Resampling, Trainings
    from kdseg.engine.study.planned import PlannedRun
    from kdseg.recipe.load import LoadedRecipe
    from kdseg.recipe.schema import Recipe


@frozen(kw_only=True, eq=False)
class PlannedArm:
    """An arm before its trainings."""

    arm: Arm
    asked: LoadedRecipe
    """The recipe of its first trial, its teachers' recipes named as the person's recipe names them."""
    teachers: tuple[LoadedRecipe, ...]
    """The recipes that its first trial's weights come from."""
    runs: tuple[PlannedRun, ...]
    """One a trial."""


def plan_arm(loaded: LoadedRecipe, trainings: Trainings, folder: Path) -> PlannedArm:
    """Plan the trainings of a recipe; nothing is written.

    Args:
        loaded: the recipe.
        trainings: which are wanted.
        folder: of all trials.

    Raises:
        KdsegError: the dataset or the teachers do not allow what is wanted.
    """
    resampling = resampling_of(loaded, trainings)
    sets = [0] * trainings.samples if resampling == "seed" else range(trainings.samples)
    samples = tuple(sample for sample in sets for _ in range(trainings.seeds))
    changes = [_changed(loaded.recipe, trainings, resampling, sample, trial) for trial, sample in enumerate(samples)]
    own = trainings.teacher == "per-trial"
    teachers = _teachers(loaded, own=own)
    asked = [
        evolve(loaded, recipe=evolve(change(loaded.recipe), output=Output(folder=folder / "runs")))
        for change in changes
    ]
    return PlannedArm(
        arm=Arm(
            name=loaded.recipe.name,
            samples=samples,
            description=_description(loaded, trainings, resampling, teachers),
        ),
        asked=asked[0],
        teachers=tuple(evolve(teacher, recipe=changes[0](teacher.recipe)) if own else teacher for teacher in teachers),
        runs=tuple(
            plan_run(_named(each, resampling, sample), folder, loaded.recipe.name, change if own else None)
            for each, change, sample in zip(asked, changes, samples, strict=True)
        ),
    )


def resampling_of(loaded: LoadedRecipe, trainings: Trainings) -> Resampling:
    """Say how the training sets come about.

    Raises:
        KdsegError: the dataset draws no images, and fresh ones are wanted; or the recipe resamples itself.
    """
    data = loaded.recipe.data
    if data.resample is not None:
        raise KdsegError(
            f"{display_path(loaded.path)}: its data.resample would be overruled by the trials'; leave it out"
        )
    if trainings.resampling is None:
        return "fresh" if data.train.draws else "disjoint"
    if trainings.resampling == "fresh" and not data.train.draws:
        raise KdsegError(
            f"{data.train.name} has the images that it has and draws no fresh ones; take disjoint, bootstrap or blocks"
        )
    return trainings.resampling


def _changed(
    recipe: Recipe, trainings: Trainings, resampling: Resampling, sample: int, trial: int
) -> Callable[[Recipe], Recipe]:
    """Give what makes of a recipe that of a trial, and of its teacher's recipe that of the trial's own teacher.

    Args:
        recipe: the person's.
        trainings: which are wanted.
        resampling: how training sets come about.
        sample: the number of the training set.
        trial: the number of the trial.
    """
    data_seed = recipe.data_seed + (sample if resampling == "fresh" else 0)
    # What is drawn depends on no number of sets: a study of more of them finds these again.
    sets = trainings.samples if resampling == "disjoint" else sample + 1
    resample = (
        Resample(method=resampling, trial=sample, trials=sets, block=trainings.block)
        if resampling in {"disjoint", "bootstrap", "blocks"}
        else None
    )
    seed = recipe.seed + trial

    def change(any_recipe: Recipe) -> Recipe:
        data = evolve(any_recipe.data, seed=data_seed, resample=resample)
        return evolve(any_recipe, seed=seed, data=data)

    return change


def _named(loaded: LoadedRecipe, resampling: Resampling, sample: int) -> LoadedRecipe:
    """Name a trial by what tells it from others, its recipe's content among that."""
    recipe = loaded.recipe
    name = f"{recipe.name}-{resampling}{sample}-seed{recipe.seed}-{recipe_digest(loaded)[:8]}"
    return evolve(loaded, recipe=evolve(recipe, name=name))


def _teachers(loaded: LoadedRecipe, *, own: bool) -> list[LoadedRecipe]:
    """Give the recipes that are trained before, teachers of teachers among them.

    Raises:
        KdsegError: each trial is to have a teacher of its own, and one is trained already.
    """
    found = []
    for name, _, weights in weighted_models(loaded.recipe):
        if weights.recipe is not None:
            teacher = load_recipe(weights.recipe)
            found += [*_teachers(teacher, own=own), teacher]
        elif own:
            raise KdsegError(
                f"{display_path(loaded.path)}: models.{name}.weights are there already, no teacher for each trial: "
                'say teacher = "shared", or name the recipe that trains it'
            )
    return found


def _description(
    loaded: LoadedRecipe, trainings: Trainings, resampling: Resampling, teachers: list[LoadedRecipe]
) -> str:
    """Tell people what the trials of an arm are."""
    sets = {
        "disjoint": "disjoint parts of the training images",
        "bootstrap": "bootstrap draws of the training images",
        "blocks": f"bootstrap draws of blocks of {trainings.block} neighbouring training images",
        "fresh": "freshly drawn training images",
        "seed": "the same training images",
    }[resampling]
    seeds = f", {trainings.seeds} seeds each" if trainings.seeds > 1 else ", another seed each"
    text = f"{trainings.samples} trainings on {sets}{seeds}"
    weighted = [weights for _, _, weights in weighted_models(loaded.recipe)]
    if not weighted:
        learners = sum(isinstance(model, Learner) for model in loaded.recipe.models.values())
        return text if learners == 1 else f"{text}; all networks learn anew in each"
    names = ", ".join(teacher.recipe.name for teacher in teachers) or ", ".join(
        display_path(origin) for weights in weighted if (origin := weights.run or weights.file) is not None
    )
    if trainings.teacher == "per-trial":
        return f"{text}; a teacher for each trial ({names}), trained on that trial's images with its seed"
    data = "; ".join(
        f"trained on all training images of {teacher.recipe.data.train.name} by seed {teacher.recipe.data_seed}"
        for teacher in teachers
    )
    shared = f"{text}; one teacher for all trials ({names}"
    return (
        f"{shared}, {data}): what it brings varies in no trial"
        if data
        else f"{shared}): what it brings varies in no trial"
    )
