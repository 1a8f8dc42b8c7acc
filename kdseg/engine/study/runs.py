"""The runs of a sweep: its arms, at each point of their grids, with each seed."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from kdseg.engine.study.planned import plan_run
from kdseg.errors import KdsegError, ProblemsError
from kdseg.recipe.keys import join_key
from kdseg.recipe.layers import remember
from kdseg.recipe.load import find_recipe, load_recipe
from kdseg.recipe.save import plain_value
from kdseg.recipe.schema import Output
from kdseg.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from kdseg.engine.study.planned import PlannedRun
    from kdseg.engine.study.sweep_file import Axis, SweepFile
    from kdseg.recipe.load import LoadedRecipe

Point = tuple[tuple[str, Any], ...]
"""A point of a grid: keys of the recipe with their values, as plain data."""
_LONGEST_SLUG = 60


@frozen(kw_only=True, eq=False)
class Variant:
    """An arm at a point of its grid: a row of the table."""

    arm: str
    point: Point
    asked: LoadedRecipe
    """Its recipe with the first seed, the recipes of its teachers as they are."""
    runs: tuple[PlannedRun, ...]
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


def _run(file: SweepFile, arm: str, point: Point, asked: LoadedRecipe, seed: int) -> PlannedRun:
    """Give the run of one seed, which starts from teachers of its own or from those that all share."""
    name = "-".join([arm, *([_slug(point)] if point else []), f"seed{seed}"])
    loaded = evolve(asked, recipe=evolve(asked.recipe, seed=seed, name=name))
    own = (lambda recipe: evolve(recipe, seed=seed)) if file.sweep.teachers == "own" else None
    return plan_run(loaded, file.folder, label_of(arm, point), own)


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
