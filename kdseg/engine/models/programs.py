"""Files that hold a whole network, which a frozen participant's backbone runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.engine.folders.files import sha256
from kdseg.engine.folders.foreign_tensors import refuse_missing
from kdseg.errors import KdsegError, display_path

if TYPE_CHECKING:
    from torch import nn

    from kdseg.components import Backbone
    from kdseg.recipe.schema import Weights


def cannot_learn(backbone: Backbone) -> str:
    """Say that a learner cannot have a backbone that runs a program, and the mend."""
    return (
        f"{backbone.name!r} runs a program, which cannot learn; say frozen = true for a teacher, or give the learner a "
        "network of modules"
    )


def open_program(backbone: Backbone, weights: Weights, network: nn.Module) -> None:
    """Let a network, which may live on the meta device, run the file that its weights name.

    Raises:
        KdsegError: they name no file, it is not the one that the recipe means, or it cannot be opened.
    """
    if weights.file is None:
        raise KdsegError(f'{backbone.name!r} runs a file, and no run has written one; say weights = {{ file = "…" }}')
    for key in ("prefix", "rename", "partial"):
        if getattr(weights, key):
            raise KdsegError(f"{key} is of files of tensors; {backbone.name!r} runs its file as a whole")
    refuse_missing(weights.file)
    if weights.sha256 is not None and (found := sha256(weights.file)) != weights.sha256:
        raise KdsegError(f"{display_path(weights.file)}: is not the file that the recipe means: its SHA-256 is {found}")
    backbone.open(network, weights.file)
