"""The networks that a diagnostic looks at: from what a person names to models on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import frozen

from kdseg.engine.folders.run_folder import RECIPE, find_run
from kdseg.engine.models.model import CARD, load, model_folder, read_card
from kdseg.engine.models.weights import model_from_file, weighted_models, weights_file
from kdseg.errors import KdsegError, did_you_mean, display_path
from kdseg.recipe.load import load_recipe
from kdseg.recipe.schema import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from kdseg.engine.models.model import SegmentationModel
    from kdseg.recipe.load import LoadedRecipe


@frozen(kw_only=True)
class Trial:
    """One trained network, not yet loaded."""

    named: Path
    """As the person named it."""
    folder: Path
    """With its card and its weights."""
    which: Literal["best", "last"]
    trusted: bool
    """Whether the Python file that lies beside it may run."""
    frozen_in: tuple[LoadedRecipe, str] | None = None
    """The recipe and its frozen participant, where its weights are a file without a card."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What its card says."""
        if self.frozen_in is not None:
            recipe = self.frozen_in[0].recipe
            spec = recipe.models[self.frozen_in[1]]
            return (spec.classes if isinstance(spec, Frozen) else None) or recipe.data.dataset.class_table().names
        return tuple(read_card(self.folder)["classes"])

    def network(self) -> SegmentationModel:
        """Load it."""
        if self.frozen_in is not None:
            return model_from_file(*self.frozen_in)
        return load(self.folder, which=self.which, trust_code=self.trusted)


@frozen(kw_only=True)
class Trials:
    """The networks, and the recipe whose dataset they are shown."""

    each: tuple[Trial, ...]
    loaded: LoadedRecipe
    """The recipe of the first run among them."""


def find_trials(
    paths: Sequence[Path], models: Sequence[str], which: Literal["best", "last"], *, trust_code: bool
) -> Trials:
    """Find networks by the folders that a person names.

    Args:
        paths: runs' folders, or copies of models' folders; one run at least.
        models: which participant of a run: one name for all runs, one for each of them in order, or none for the one
            named student or the only one.
        which: weights; those of a frozen participant are as its recipe says.
        trust_code: whether the Python file may run that lies in a copy of a model's folder, or where a frozen
            participant comes from. Those that the runs' recipes list run anyway.

    Raises:
        KdsegError: where one is not there, or nothing says on which images to look.
    """
    runs = [path for path in paths if not (path / CARD).exists()]
    if not runs:
        raise KdsegError("none of these is a run's folder, whose recipe names the images; give one among them")
    if len(models) > 1 and len(models) != len(runs):
        raise KdsegError(
            f"--model is given {len(models)} times for {len(runs)} runs; give it once for all, or once for each"
        )
    names = iter([*models] * len(runs) if len(models) == 1 else models)
    found = {number: find_run(path) for number, path in enumerate(paths) if path in runs}
    each = []
    for number, path in enumerate(paths):
        if number not in found:
            each.append(Trial(named=path, folder=path, which=which, trusted=trust_code))
        else:
            each.append(_of_run(path, found[number], next(names, None), which, trust_code=trust_code))
    first = next(iter(found.values()))
    return Trials(each=tuple(each), loaded=load_recipe(first / RECIPE))


def find_network(path: Path, which: Literal["best", "last"], *, trust_code: bool) -> Trial:
    """Find one network: of a run the participant named student or the only one, or a copy of a model's folder.

    Raises:
        KdsegError: it is not there.
    """
    if (path / CARD).exists():
        return Trial(named=path, folder=path, which=which, trusted=trust_code)
    return _of_run(path, find_run(path), None, which, trust_code=trust_code)


def refuse_other_classes(trials: Iterable[Trial], loaded: LoadedRecipe) -> None:
    """Refuse networks whose classes are not those of the images.

    Args:
        trials: the networks.
        loaded: the recipe whose dataset they are shown.

    Raises:
        KdsegError: naming both.
    """
    names = loaded.recipe.data.dataset.class_table().names
    for trial in trials:
        if trial.classes != names:
            raise KdsegError(
                f"{display_path(trial.named)} tells apart {', '.join(trial.classes)}; the images are those of "
                f"{display_path(loaded.path)}, whose classes are {', '.join(names)}"
            )


def _of_run(named: Path, run: Path, model: str | None, which: Literal["best", "last"], *, trust_code: bool) -> Trial:
    """Find a participant of a run: what it trained or, where that is frozen there, what it was given."""
    loaded = load_recipe(run / RECIPE)
    recipe = loaded.recipe
    if model is not None and model not in recipe.models:
        raise KdsegError(
            f"{display_path(named)}: no model {model!r}{did_you_mean(model, recipe.models)}; it has "
            f"{', '.join(recipe.models)}"
        )
    if model is not None and isinstance(recipe.models[model], Frozen):
        weights = next(weights for name, _, weights in weighted_models(recipe) if name == model)
        if weights.file is not None:
            folder = weights.file.parent
            return Trial(named=named, folder=folder, which=which, trusted=True, frozen_in=(loaded, model))
        file = weights_file(model, weights)
        return Trial(named=named, folder=file.parent, which=weights.which, trusted=trust_code)
    return Trial(named=named, folder=model_folder(run, model), which=which, trusted=True)
