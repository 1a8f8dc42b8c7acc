"""The runs of a sweep: its arms, at each point of their grids, with each seed, and the teachers that they need."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from kdseg.engine.folders.run_folder import recipe_digest
from kdseg.engine.models.weights import finished_run, source_places, weighted_models
from kdseg.errors import KdsegError, ProblemsError
from kdseg.recipe.keys import join_key, string_text
from kdseg.recipe.layers import remember
from kdseg.recipe.load import LoadedRecipe, find_recipe, load_recipe
from kdseg.recipe.save import plain_value, save_recipe
from kdseg.recipe.schema import Output, Recipe
from kdseg.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kdseg.engine.study.sweep_file import Axis, SweepFile

Point = tuple[tuple[str, Any], ...]
"""A point of a grid: keys of the recipe with their values, as plain data."""
_LONGEST_SLUG = 60


@frozen(kw_only=True, eq=False)
class SweepRun:
    """One run that the sweep makes, or finds."""

    name: str
    loaded: LoadedRecipe
    """Its recipe, as the run is found again by it."""
    file: Path
    """Where that recipe lies for the process that trains it."""
    seed: int
    label: str
    """The row of the table that it belongs to; empty for a teacher."""
    needs: tuple[SweepRun, ...] = ()
    """Teachers that are trained before it."""
    places: tuple[LoadedRecipe, ...]
    """The recipe once for each folder in which it is looked for; in the first it is trained."""

    def finished(self) -> Path | None:
        """Give the folder of the finished run, where there is one."""
        return finished_run(self.places)

    def write(self) -> None:
        """Write the recipe for the process that trains it; a file of the user's own is left alone."""
        if self.file != self.loaded.path:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            save_recipe(self.loaded.recipe, self.loaded.plugins.registry, self.file)

    def words(self) -> tuple[str, ...]:
        """Give the words of the command that trains it, after `kdseg`."""
        folder = string_text(str(self.places[0].recipe.output.folder))
        return ("run", str(self.file), "--set", f"output.folder={folder}", "--resume", "--json")


@frozen(kw_only=True, eq=False)
class Variant:
    """An arm at a point of its grid: a row of the table."""

    arm: str
    point: Point
    asked: LoadedRecipe
    """Its recipe with the first seed, the recipes of its teachers as they are."""
    runs: tuple[SweepRun, ...]
    """One a seed."""

    @property
    def label(self) -> str:
        """What the table calls it."""
        return label_of(self.arm, self.point)


def label_of(arm: str, point: Point) -> str:
    """Name an arm at a point of its grid, each key by its last part."""
    return " ".join([arm, *(f"{key.rpartition('.')[2]}={_shown(value)}" for key, value in point)])


def plan_sweep(file: SweepFile) -> tuple[Variant, ...]:
    """Give the rows of a sweep with their runs; nothing is written.

    Raises:
        ProblemsError: with all that is wrong with the recipes, as the sweep changes them.
    """
    variants, problems = [], []
    for arm in file.sweep.arms:
        axes = file.axes(arm)
        ranges = [axis for axis in axes if not isinstance(axis.values, list)]
        problems += [
            file.problem(axis.stated, "a range needs --search; list the values to try here") for axis in ranges
        ]
        for values in itertools.product(*(axis.values for axis in axes if isinstance(axis.values, list))):
            try:
                variants.append(plan_variant(file, arm, dict(zip(axes, values, strict=False))))
            except ProblemsError as error:
                problems += error.problems
    if problems:
        raise ProblemsError(list(dict.fromkeys(problems)))
    return tuple(variants)


def plan_variant(file: SweepFile, arm: str, chosen: Mapping[Axis, Any]) -> Variant:
    """Give an arm at a point of its grid.

    Args:
        file: the sweep.
        arm: the arm's name.
        chosen: the value of each axis.

    Raises:
        ProblemsError: with all that is wrong with its recipe.
    """
    sweep, place = file.sweep, ("sweep", "arms", arm)
    point = tuple((join_key(axis.key), plain_value(value, Registry(entries=()))) for axis, value in chosen.items())
    settings = [
        *file.settings("sweep", "set"),
        *file.settings(*place, "set"),
        *(file.setting(axis.stated, axis.key, remember(value, file.path.parent)) for axis, value in chosen.items()),
        file.setting(("sweep", "seeds"), ("seed",), sweep.seeds[0]),
    ]
    if sweep.metric is not None:
        settings.append(file.setting(("sweep", "metric"), ("evaluate", "metric"), sweep.metric))
    try:
        asked = load_recipe(_recipe_file(file, arm), settings)
        asked = evolve(asked, recipe=evolve(asked.recipe, output=Output(folder=file.folder / "runs")))
        runs = tuple(_run(file, arm, point, asked, seed) for seed in sweep.seeds)
    except ProblemsError:
        raise
    except KdsegError as error:
        raise ProblemsError([file.problem((*place, "recipe"), str(error))]) from error
    return Variant(arm=arm, point=point, asked=asked, runs=runs)


def _recipe_file(file: SweepFile, arm: str) -> str | Path:
    said = file.sweep.arms[arm].recipe
    beside = file.path.parent / said
    return beside if beside.is_file() else find_recipe(said)


def _run(file: SweepFile, arm: str, point: Point, asked: LoadedRecipe, seed: int) -> SweepRun:
    """Give the run of one seed, which starts from teachers of its own or from those that all share."""
    name = "-".join([arm, *([_slug(point)] if point else []), f"seed{seed}"])
    recipe, needs = evolve(asked.recipe, seed=seed, name=name), []
    for model, _, weights in weighted_models(recipe):
        if weights.recipe is not None:
            teacher = _teacher(file, evolve(asked, recipe=recipe), model, seed)
            needs.append(teacher)
            recipe = _with_recipe(recipe, model, teacher.file)
    loaded = evolve(asked, recipe=recipe)
    return SweepRun(
        name=name,
        loaded=loaded,
        file=file.folder / "recipes" / f"{name}.toml",
        seed=seed,
        label=label_of(arm, point),
        needs=tuple(needs),
        places=(loaded,),
    )


def _teacher(file: SweepFile, asking: LoadedRecipe, model: str, seed: int) -> SweepRun:
    """Give the run that a participant's weights come from."""
    weights = next(weights for name, _, weights in weighted_models(asking.recipe) if name == model)
    assert weights.recipe is not None
    loaded, needs = load_recipe(weights.recipe), []
    own = file.sweep.teachers == "own"
    recipe = evolve(loaded.recipe, seed=seed) if own else loaded.recipe
    for name, _, its_weights in weighted_models(recipe):
        if its_weights.recipe is not None:
            needs.append(_teacher(file, evolve(loaded, recipe=evolve(recipe, output=asking.recipe.output)), name, seed))
            recipe = _with_recipe(recipe, name, needs[-1].file)
    loaded = evolve(loaded, recipe=recipe)
    name = f"{recipe.name}-seed{recipe.seed}-{recipe_digest(loaded)[:8]}"
    places = [
        evolve(place, recipe=evolve(recipe, output=place.recipe.output)) for place in source_places(asking, weights)
    ]
    return SweepRun(
        name=name,
        loaded=loaded,
        # By its content: what is trained from an older state of the recipe is not mistaken for this.
        file=file.folder / "recipes" / f"{name}.toml" if own else weights.recipe,
        seed=recipe.seed,
        label="",
        needs=tuple(needs),
        places=tuple(places),
    )


def _with_recipe(recipe: Recipe, model: str, file: Path) -> Recipe:
    spec: Any = recipe.models[model]
    changed = evolve(spec, weights=evolve(spec.weights, recipe=file))
    return evolve(recipe, models={**recipe.models, model: changed})


def in_order(runs: Iterable[SweepRun]) -> list[SweepRun]:
    """Give runs in the order in which they are trained: seed after seed, so that what is there early is paired.

    Each comes once, after the teachers that it needs.
    """
    ordered: dict[Path, SweepRun] = {}

    def add(run: SweepRun) -> None:
        for teacher in run.needs:
            add(teacher)
        ordered.setdefault(run.file, run)

    for run in sorted(runs, key=lambda run: run.seed):
        add(run)
    return list(ordered.values())


def _shown(value: Any) -> str:
    """Write a value of a grid for people."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={_shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _slug(point: Point) -> str:
    """Give the part of a folder's name that tells a point from all others."""
    text = ",".join(f"{key.rpartition('.')[2]}={_shown(value)}" for key, value in point)
    slug = re.sub(r"[^A-Za-z0-9_.=,+-]+", "_", text)[:_LONGEST_SLUG]
    return f"{slug}-{hashlib.sha256(repr(point).encode()).hexdigest()[:6]}"
