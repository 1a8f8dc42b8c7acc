"""Where a participant's weights come from: a file, another run, or a recipe whose run is found or made first."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from attrs import evolve

from kdseg.engine.folders.files import sha256
from kdseg.engine.folders.run_folder import find_run, is_finished, runs_of
from kdseg.engine.folders.shards import weights_digest
from kdseg.engine.models.file_weights import match_file
from kdseg.engine.models.model import CARD, backbone_of, read_card
from kdseg.engine.models.programs import open_program
from kdseg.engine.models.pruning import refuse_unprunable
from kdseg.engine.models.settled import model_of
from kdseg.errors import KdsegError, display_path
from kdseg.recipe.load import load_recipe
from kdseg.recipe.schema import Frozen, Learner
from kdseg.recipe.single import plain_component

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import nn

    from kdseg.components import Backbone
    from kdseg.engine.models.file_weights import Match
    from kdseg.recipe.load import LoadedRecipe
    from kdseg.recipe.schema import Output, Recipe, Weights

log = logging.getLogger(__name__)


def weighted_models(recipe: Recipe) -> Iterator[tuple[str, Backbone, Weights]]:
    """Give the participants that start from weights: name, backbone and where the weights are."""
    for name, model in recipe.models.items():
        if isinstance(model, (Learner, Frozen)) and model.weights is not None:
            yield name, model.backbone, model.weights


def check_weights(
    loaded: LoadedRecipe, name: str, backbone: Backbone, weights: Weights, network: nn.Module | None
) -> Match | None:
    """See that a participant's weights are there, or can be made, and fit its network.

    Args:
        loaded: the recipe that asks.
        name: the participant.
        backbone: its network as a component.
        weights: where they come from.
        network: its network, which may live on the meta device; None where it could not be made.

    Returns:
        What they and the network have in common, where they are a file's.

    Raises:
        KdsegError: saying what is missing, or where the networks differ.
    """
    if backbone.program:
        if network is not None:
            open_program(backbone, weights, network)
        return None
    if weights.file is not None:
        if network is None:
            return None
        match = match_file(weights, network)
        card = _card_beside(weights.file) if match.is_full else None
        if card is not None:  # it says what shapes cannot
            _check_data(weights.file.parent, card["classes"], (card["mean"], card["std"]), loaded.recipe, name)
        return match
    if weights.recipe is not None:
        _refuse_circle(loaded, ())
        other = source_recipe(loaded, weights)
        model = _source_model(other.recipe, name, weights)
        theirs = plain_component(other.recipe.models[model].backbone, other.plugins.registry)  # type: ignore[union-attr]
        ours = plain_component(backbone, loaded.plugins.registry)
        if weights.prune:
            wide = other.recipe.models[model].backbone  # type: ignore[union-attr] # a learner's
            refuse_unprunable(wide, backbone, len(other.recipe.data.dataset.class_table()))
        elif theirs != ours:
            raise KdsegError(f"{display_path(weights.recipe)} trains {model!r}, {_difference(theirs, ours)}")
        data = other.recipe.data
        _check_data(weights.recipe, data.dataset.class_table().names, (data.mean, data.std), loaded.recipe, name)
    else:
        _weights_file(loaded, name, backbone, weights)
    return None


def with_classes(loaded: LoadedRecipe) -> LoadedRecipe:
    """Say the classes of participants whose `class_map` needs them, where the recipe leaves it to weights or backbone.

    Weights that are not there say nothing: `check_weights` tells of them.
    """
    recipe = loaded.recipe
    for name, _, weights in weighted_models(recipe):
        spec = recipe.models[name]
        if isinstance(spec, Frozen) and spec.class_map is not None and spec.classes is None:
            with suppress(KdsegError):
                model = evolve(spec, classes=_classes_of(loaded, name, weights) or spec.backbone.class_names())
                recipe = evolve(recipe, models={**recipe.models, name: model})
    return evolve(loaded, recipe=recipe)


def _classes_of(loaded: LoadedRecipe, name: str, weights: Weights) -> tuple[str, ...] | None:
    if weights.recipe is not None:
        return source_recipe(loaded, weights).recipe.data.dataset.class_table().names
    if weights.run is not None:
        return tuple(read_card(model_of(find_run(weights.run), name, weights))["classes"])
    card = None if weights.file is None else _card_beside(weights.file)
    return None if card is None else tuple(card["classes"])


def _card_beside(file: Path) -> dict[str, Any] | None:
    """Give the card of a file that kdseg wrote itself."""
    written = file.stem in ("best", "last") and (file.parent / CARD).exists()
    return read_card(file.parent) if written else None


def _refuse_circle(loaded: LoadedRecipe, asking: tuple[Path, ...]) -> None:
    chain = (*asking, loaded.path.resolve())
    for _, _, weights in weighted_models(loaded.recipe):
        if weights.recipe is None:
            continue
        if weights.recipe.resolve() in chain:
            circle = " -> ".join(display_path(path) for path in (*chain, weights.recipe))
            raise KdsegError(f"goes round in a circle: {circle}")
        _refuse_circle(load_recipe(weights.recipe), chain)


def source_recipe(loaded: LoadedRecipe, weights: Weights) -> LoadedRecipe:
    """Load the recipe that trains the weights; where it is trained, its runs lie beside those of the one that asks."""
    return source_places(loaded, weights)[0]


def _placed(loaded: LoadedRecipe, output: Output) -> LoadedRecipe:
    return evolve(loaded, recipe=evolve(loaded.recipe, output=output))


def source_places(loaded: LoadedRecipe, weights: Weights) -> list[LoadedRecipe]:
    """Give the recipe that trains the weights once for each folder in which its runs are looked for, in this order.

    First comes the folder of the recipe that asks, where it would be trained, then the one that the other recipe names,
    where runs of it by itself lie.
    """
    assert weights.recipe is not None
    other = load_recipe(weights.recipe)
    return [_placed(other, output) for output in dict.fromkeys((loaded.recipe.output, other.recipe.output))]


def finished_run(places: Sequence[LoadedRecipe]) -> Path | None:
    """Give the newest finished run of the first place that has one."""
    return next((run for place in places for run in runs_of(place) if is_finished(run)), None)


def settle_weights(loaded: LoadedRecipe, train: Callable[[LoadedRecipe], Path]) -> LoadedRecipe:
    """Give the recipe with every participant's weights as run or file and hash, training what no run has trained yet.

    Args:
        loaded: the recipe that asks.
        train: runs a recipe to its end and gives the run's folder.
    """
    loaded = with_classes(loaded)
    recipe = loaded.recipe
    for name, backbone, weights in weighted_models(recipe):
        if weights.recipe is not None:
            places = source_places(loaded, weights)
            other = places[0]
            run = _found(name, weights.recipe, places) or train(other)
            settled = evolve(weights, recipe=None, run=run, model=_source_model(other.recipe, name, weights))
        elif weights.run is not None:
            settled = evolve(weights, run=find_run(weights.run))
        else:
            settled = weights
        file = weights.file or _weights_file(loaded, name, backbone, settled)
        spec = recipe.models[name]
        assert isinstance(spec, Learner | Frozen)
        model = evolve(spec, weights=evolve(settled, sha256=weights_digest(file)))
        recipe = evolve(recipe, models={**recipe.models, name: model})
    return evolve(loaded, recipe=recipe)


def _found(name: str, recipe: Path, places: Sequence[LoadedRecipe]) -> Path | None:
    """Look for a finished run, and say where it was found or where it was looked for."""
    run = finished_run(places)
    if run is not None:
        log.info("models.%s.weights: of %s", name, display_path(run))
    else:
        folders = " or ".join(display_path(place.recipe.output.folder / place.recipe.name) for place in places)
        log.info(
            "models.%s.weights: %s is trained first: no finished run of it in %s", name, display_path(recipe), folders
        )
    return run


def _source_model(recipe: Recipe, name: str, weights: Weights) -> str:
    learners = [label for label, model in recipe.models.items() if isinstance(model, Learner)]
    wanted = weights.model or (name if name in learners else None)
    if wanted is None and len(learners) == 1:
        wanted = learners[0]
    if wanted not in learners:
        raise KdsegError(
            f"{recipe.name!r} trains no learner {wanted or name!r}; `model` may name one of {', '.join(learners)}"
        )
    return wanted


def _weights_file(loaded: LoadedRecipe, name: str, backbone: Backbone, weights: Weights) -> Path:
    """Find the file and hold it against the participant's network and the hash that the recipe states."""
    assert weights.run is not None
    folder = model_of(find_run(weights.run), name, weights)
    card = read_card(folder)
    ours = plain_component(backbone, loaded.plugins.registry)
    theirs = {"use": card["backbone"], **card["options"]}
    if weights.prune:
        wide = backbone_of(folder, card, registry=loaded.plugins.registry)
        refuse_unprunable(wide, backbone, len(card["classes"]))
    elif ours != theirs:
        raise KdsegError(f"{display_path(folder)} holds the weights of another network, {_difference(theirs, ours)}")
    _check_data(folder, card["classes"], (card["mean"], card["std"]), loaded.recipe, name)
    file = folder / f"{weights.which}.safetensors"
    if not file.exists():
        raise KdsegError(f"{display_path(file)}: no such weights; the run has not come so far")
    if weights.sha256 is not None and sha256(file) != weights.sha256:
        raise KdsegError(f"{display_path(file)}: is not the file that the recipe means: its SHA-256 is {sha256(file)}")
    return file


def _check_data(
    origin: Path,
    classes: Sequence[str],
    normalisation: tuple[Sequence[float], Sequence[float]],
    recipe: Recipe,
    name: str,
) -> None:
    """Refuse weights that were trained to name other classes, or on images normalised otherwise."""
    ours, spec = recipe.data, recipe.models[name]
    said = spec.classes if isinstance(spec, Frozen) else None
    names = said or ours.dataset.class_table().names
    if tuple(classes) != names:
        whose = "this recipe's dataset has" if said is None else f"models.{name}.classes names"
        raise KdsegError(
            f"{display_path(origin)} trains on {len(classes)} classes ({_listed(classes)}); "
            f"{whose} {len(names)} ({_listed(names)})"
        )
    mean, std = map(tuple, normalisation)
    if (mean, std) != (ours.mean, ours.std):
        raise KdsegError(
            f"{display_path(origin)} normalises images with mean {list(mean)} and std {list(std)}; "
            f"here data.mean is {list(ours.mean)} and data.std {list(ours.std)}"
        )


def _difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """Say where two backbones, as plain values, differ."""
    keys = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
    if "use" in keys:
        keys = ["use"]

    def told(backbone: Mapping[str, Any]) -> str:
        return ", ".join(f"{key} = {json.dumps(backbone.get(key), ensure_ascii=False)}" for key in keys)

    return f"with {told(theirs)}; here the backbone has {told(ours)}"


def _listed(names: Sequence[str], most: int = 4) -> str:
    """Give the first names, by which a person knows the dataset."""
    return ", ".join([*names[:most], *(["…"] if len(names) > most else [])])
