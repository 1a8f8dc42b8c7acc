"""The participants of a run that is over, with the weights that it left or was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.engine.folders.tensor_files import load_weights
from kdseg.engine.learn.build import build_participants
from kdseg.engine.models.model import model_folder
from kdseg.engine.models.settled import load_settled
from kdseg.engine.models.weights import weighted_models
from kdseg.errors import KdsegError, did_you_mean
from kdseg.recipe.schema import Frozen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch

    from kdseg.engine.learn.participants import Participant
    from kdseg.recipe.schema import Recipe


def trained_participants(
    run: Path, recipe: Recipe, names: Sequence[str], which: str, device: torch.device
) -> dict[str, Participant]:
    """Make participants of a run as it left them.

    Args:
        run: its folder.
        recipe: its saved recipe, which says where the weights of frozen ones lie.
        names: whom; all, where none is named.
        which: the weights of learners and shadows, "best" or "last".
        device: where they come to lie.

    Raises:
        KdsegError: there is no such participant, or its weights are not there.
    """
    refuse_unknown(recipe, names)
    participants = build_participants(recipe, len(recipe.data.dataset.class_table()), device, names or None)
    settled = {name: weights for name, _, weights in weighted_models(recipe)}
    for name, participant in participants.items():
        if isinstance(recipe.models[name], Frozen):
            load_settled(name, participant.backbone, settled[name], participant.module)
        else:
            load_weights(participant.module, model_folder(run, name) / f"{which}.safetensors")
    return participants


def refuse_unknown(recipe: Recipe, names: Sequence[str]) -> None:
    """Refuse names that no participant of a run has.

    Raises:
        KdsegError: with the nearest name, and all of them.
    """
    for name in names:
        if name not in recipe.models:
            raise KdsegError(
                f"the run has no participant {name!r}{did_you_mean(name, recipe.models)}; it has "
                f"{', '.join(recipe.models)}"
            )
