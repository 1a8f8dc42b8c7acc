"""The networks that a diagnostic looks at: from what a person names to models on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen
from torch import nn

from kdseg.engine.folders.run_folder import RECIPE, find_run
from kdseg.engine.learn.class_map import class_map_of
from kdseg.engine.models.model import CARD, load, model_folder, read_card
from kdseg.engine.models.settled import model_from_file, weights_file
from kdseg.engine.models.weights import weighted_models
from kdseg.errors import KdsegError, did_you_mean, display_path
from kdseg.recipe.load import load_recipe
from kdseg.recipe.schema import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from torch import Tensor

    from kdseg.data.samples import ClassTable
    from kdseg.engine.learn.class_map import ClassMap
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
    told_in: tuple[ClassMap, ClassTable] | None = None
    """Where its run says what its classes are among the dataset's: how, and the dataset's."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Those that its logits are of."""
        if self.told_in is not None:
            return self.told_in[1].names
        if self.frozen_in is not None:
            return self.frozen_in[0].recipe.data.dataset.class_table().names
        return tuple(read_card(self.folder)["classes"])

    @property
    def known(self) -> frozenset[int]:
        """Which of these it knows."""
        return frozenset(range(len(self.classes)) if self.told_in is None else self.told_in[0].known)

    def network(self) -> SegmentationModel:
        """Load it."""
        if self.frozen_in is not None:
            model = model_from_file(*self.frozen_in)
        else:
            model = load(self.folder, which=self.which, trust_code=self.trusted)
        if self.told_in is not None:
            class_map, table = self.told_in
            model.network = _Told(model.network, class_map)
            model.classes, model.palette = table.names, table.colours
        return model


class _Told(nn.Module):
    """A network whose logits are told in a dataset's classes."""

    def __init__(self, network: nn.Module, class_map: ClassMap) -> None:
        super().__init__()
        self.network = network
        self.class_map = class_map

    def forward(self, images: Tensor) -> Tensor:
        """Give logits N×C×H×W for images as the network takes them."""
        output = self.network(images)
        return self.class_map.logits(output["logits"] if isinstance(output, dict) else output)


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


def find_network(path: Path, model: str | None, which: Literal["best", "last"], *, trust_code: bool) -> Trial:
    """Find one network: a participant of a run, by default the one named student or the only one; or a copy's.

    Raises:
        KdsegError: it is not there.
    """
    if not (path / CARD).exists():
        return _of_run(path, find_run(path), model, which, trust_code=trust_code)
    if model is not None:
        raise KdsegError(f"{display_path(path)}: is one model's folder, in which no model can be named ({model!r})")
    return Trial(named=path, folder=path, which=which, trusted=trust_code)


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


def refuse_the_same_twice(trials: Sequence[Trial]) -> None:
    """Refuse a network that is there twice: it would count as a second training, and show a spread that is too small.

    Raises:
        KdsegError: naming both.
    """
    known = [(trial, _identity(trial)) for trial in trials]
    for number, (trial, network) in enumerate(known):
        first = next((other for other, same in known[:number] if same == network), None)
        if first is not None:
            same = f"that of {display_path(first.named)}" if first.named != trial.named else "one that is named already"
            raise KdsegError(
                f"{display_path(trial.named)}: its network, {display_path(trial.folder)}, is {same}; each counts as a "
                "training of its own: name it once"
            )


def _identity(trial: Trial) -> Any:
    """Give what is equal of the same network alone: its weights' folder or, of a frozen participant, all said of it."""
    spec = None if trial.frozen_in is None else trial.frozen_in[0].recipe.models[trial.frozen_in[1]]
    return trial.folder.resolve(), trial.which, spec


def known_by_all(trials: Iterable[Trial], classes: ClassTable) -> tuple[int, ...]:
    """Give the classes of the images that every network knows.

    Raises:
        KdsegError: there are fewer than two.
    """
    known = frozenset(range(len(classes)))
    for trial in trials:
        known &= trial.known
    if len(known) < 2:  # noqa: PLR2004 (what can be told apart)
        said = ", ".join(classes.names[number] for number in known) or "none"
        raise KdsegError(f"these networks have too few classes in common: {said}; two is the least")
    return tuple(sorted(known))


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
        class_map = class_map_of(recipe, model)
        told_in = None if class_map is None else (class_map, recipe.data.dataset.class_table())
        if weights.file is not None:
            place = weights.file.parent
            return Trial(
                named=named, folder=place, which=which, trusted=True, frozen_in=(loaded, model), told_in=told_in
            )
        place = weights_file(model, weights).parent
        return Trial(named=named, folder=place, which=weights.which, trusted=trust_code, told_in=told_in)
    return Trial(named=named, folder=model_folder(run, model), which=which, trusted=True)
