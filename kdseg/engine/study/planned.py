"""Runs that a study makes or finds, and the teachers that they need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from kdseg.engine.folders.run_folder import recipe_digest
from kdseg.engine.models.weights import finished_run, source_places, weighted_models
from kdseg.recipe.keys import string_text
from kdseg.recipe.load import LoadedRecipe, load_recipe
from kdseg.recipe.save import save_recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from kdseg.recipe.schema import Recipe


@frozen(kw_only=True, eq=False)
class PlannedRun:
    """One run that a study makes, or finds."""

    name: str
    loaded: LoadedRecipe
    """Its recipe, as the run is found again by it."""
    file: Path
    """Where that recipe lies for the process that trains it."""
    label: str
    """What of the study it belongs to; empty for a teacher."""
    needs: tuple[PlannedRun, ...] = ()
    """Teachers that are trained before it."""
    places: tuple[LoadedRecipe, ...]
    """The recipe once for each folder in which it is looked for; in the first it is trained."""

    @property
    def seed(self) -> int:
        """Its recipe's."""
        return self.loaded.recipe.seed

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


def plan_run(
    loaded: LoadedRecipe, folder: Path, label: str, own_teacher: Callable[[Recipe], Recipe] | None
) -> PlannedRun:
    """Plan a run, and the teachers that it starts from.

    Args:
        loaded: its recipe, whose name becomes the run's.
        folder: of the study, where recipes are written.
        label: what of the study it belongs to.
        own_teacher: what makes of a teacher's recipe that of a teacher of this run's own; None: it is trained as its
            recipe says, and all runs share it.
    """
    recipe, needs = _with_teachers(loaded, folder, own_teacher)
    loaded = evolve(loaded, recipe=recipe)
    return PlannedRun(
        name=recipe.name,
        loaded=loaded,
        file=folder / "recipes" / f"{recipe.name}.toml",
        label=label,
        needs=needs,
        places=(loaded,),
    )


def _with_teachers(
    loaded: LoadedRecipe, folder: Path, own: Callable[[Recipe], Recipe] | None
) -> tuple[Recipe, tuple[PlannedRun, ...]]:
    """Give a recipe that names its teachers by the files of their planned runs, and those runs."""
    recipe, needs = loaded.recipe, list[PlannedRun]()
    for name, _, weights in weighted_models(recipe):
        if weights.recipe is not None:
            needs.append(_teacher(evolve(loaded, recipe=recipe), name, folder, own))
            recipe = _with_recipe(recipe, name, needs[-1].file)
    return recipe, tuple(needs)


def _teacher(asking: LoadedRecipe, model: str, folder: Path, own: Callable[[Recipe], Recipe] | None) -> PlannedRun:
    """Plan the run that a participant's weights come from."""
    weights = next(weights for name, _, weights in weighted_models(asking.recipe) if name == model)
    assert weights.recipe is not None
    loaded = load_recipe(weights.recipe)
    changed = loaded.recipe if own is None else own(loaded.recipe)
    # Its own teachers are looked for where those of the recipe that asks are.
    placed = evolve(loaded, recipe=evolve(changed, output=asking.recipe.output))
    recipe, needs = _with_teachers(placed, folder, own)
    recipe = evolve(recipe, output=changed.output)
    loaded = evolve(loaded, recipe=recipe)
    name = f"{recipe.name}-seed{recipe.seed}-{recipe_digest(loaded)[:8]}"
    places = [
        evolve(place, recipe=evolve(recipe, output=place.recipe.output)) for place in source_places(asking, weights)
    ]
    return PlannedRun(
        name=name,
        loaded=loaded,
        # By its content: what is trained from an older state of the recipe is not mistaken for this.
        file=weights.recipe if own is None else folder / "recipes" / f"{name}.toml",
        label="",
        needs=needs,
        places=tuple(places),
    )


def _with_recipe(recipe: Recipe, model: str, file: Path) -> Recipe:
    spec: Any = recipe.models[model]
    changed = evolve(spec, weights=evolve(spec.weights, recipe=file))
    return evolve(recipe, models={**recipe.models, model: changed})


def in_order(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """Give runs in the order in which they are trained: seed after seed, so that what is there early is paired.

    Each comes once, after the teachers that it needs.
    """
    ordered: dict[Path, PlannedRun] = {}

    def add(run: PlannedRun) -> None:
        for teacher in run.needs:
            add(teacher)
        ordered.setdefault(run.file, run)

    for run in sorted(runs, key=lambda run: run.seed):
        add(run)
    return list(ordered.values())
