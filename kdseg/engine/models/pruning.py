"""A participant that begins as the part of a wider network that matters most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from kdseg.components import BackboneContext
from kdseg.engine.folders.tensor_files import load_weights
from kdseg.engine.models.model import backbone_of, read_card
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Literal

    from torch import nn

    from kdseg.components import Backbone
    from kdseg.registry import Registry


def refuse_unprunable(wide: Backbone, narrow: Backbone, classes: int) -> None:
    """Refuse, by shapes alone, a network that cannot be made of a wider one.

    Args:
        wide: the wider network, as a component.
        narrow: the one that is to be made of it.
        classes: how many the wider one tells apart.

    Raises:
        KdsegError: saying why.
    """
    ctx = BackboneContext(in_channels=3, num_classes=classes)
    with torch.device("meta"):
        networks = wide.build(ctx), narrow.build(ctx)
    try:
        narrow.prune(*networks)
    except KdsegError as error:
        raise KdsegError(f"prune: {error}") from None


def prune_from(
    folder: Path, which: Literal["best", "last"], backbone: Backbone, network: nn.Module, registry: Registry | None
) -> None:
    """Fill a network with the channels of a trained wider one that matter most.

    Args:
        folder: the wider one's, as a run leaves it.
        which: its weights.
        backbone: the network, as a component.
        network: what is filled.
        registry: the recipe's, which knows the wider one's component, too.
    """
    card = read_card(folder)
    ctx = BackboneContext(in_channels=3, num_classes=len(card["classes"]))
    wide = backbone_of(folder, card, registry=registry).build(ctx)
    load_weights(wide, folder / f"{which}.safetensors")
    backbone.prune(wide.to(next(network.parameters()).device), network)
