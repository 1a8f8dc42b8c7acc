"""Settled weights, those of a file or of a run, into the network of a participant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from kdseg.components import BackboneContext
from kdseg.engine.folders.run_folder import find_run
from kdseg.engine.folders.tensor_files import load_weights
from kdseg.engine.models.file_weights import load_from_file
from kdseg.engine.models.model import CARD, SegmentationModel, card_of, model_folder
from kdseg.engine.models.programs import open_program
from kdseg.engine.models.pruning import prune_from
from kdseg.recipe.schema import Frozen
from kdseg.recipe.single import plain_component

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from kdseg.components import Backbone
    from kdseg.engine.models.file_weights import Match
    from kdseg.recipe.load import LoadedRecipe
    from kdseg.recipe.schema import Weights
    from kdseg.registry import Registry


def load_settled(
    name: str, backbone: Backbone, weights: Weights, network: nn.Module, registry: Registry | None = None
) -> Match | None:
    """Fill a participant's network with its settled weights; tell what matched, where they are a file's tensors.

    Args:
        name: the participant.
        backbone: its network as a component.
        weights: as `settle_weights` gives them.
        network: what is filled.
        registry: the recipe's; where a wider network's component is found, which learners alone are made of.

    Raises:
        KdsegError: they cannot be loaded, or do not fit.
    """
    if backbone.program:
        open_program(backbone, weights, network)
        return None
    if weights.file is not None:
        return load_from_file(weights, network)
    if weights.prune:
        folder = model_of(find_run(weights.run), name, weights)  # type: ignore[arg-type] # settled
        prune_from(folder, weights.which, backbone, network, registry)
    else:
        load_weights(network, weights_file(name, weights))
    return None


def model_from_file(loaded: LoadedRecipe, name: str) -> SegmentationModel:
    """Load a frozen participant whose weights are a file, as `kdseg.load` does one that a run trained.

    Where it has a `class_map` its logits are of its own classes.

    Raises:
        KdsegError: the file is not there, or does not fit.
    """
    data, spec = loaded.recipe.data, loaded.recipe.models[name]
    assert isinstance(spec, Frozen)
    classes = data.dataset.class_table()
    ctx = BackboneContext(in_channels=3, num_classes=len(spec.classes or classes), mean=data.mean, std=data.std)
    network = spec.backbone.build(ctx)
    load_settled(name, spec.backbone, spec.weights, network)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stub lacks it
    backbone = plain_component(spec.backbone, loaded.plugins.registry)
    return SegmentationModel(network, card_of(backbone, classes, data.mean, data.std)).eval()


def weights_file(name: str, weights: Weights) -> Path:
    """Give the file of a run that settled weights name."""
    assert weights.run is not None
    return model_of(find_run(weights.run), name, weights) / f"{weights.which}.safetensors"


def model_of(run: Path, name: str, weights: Weights) -> Path:
    """Give the folder of the model that weights mean in a run: the one they name, else the participant's namesake."""
    if weights.model is None and (run / "models" / name / CARD).exists():
        return model_folder(run, name)
    return model_folder(run, weights.model)
