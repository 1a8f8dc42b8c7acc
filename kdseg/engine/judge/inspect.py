"""What goes through the networks of a run for one picture, layer by layer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from attrs import asdict, frozen

from kdseg.data.image_files import read_rgb
from kdseg.data.images import Normalise, refuse_small
from kdseg.data.pictures import write_image
from kdseg.engine.folders.run_folder import RECIPE, find_run
from kdseg.engine.judge.inspect_sheet import inspection_sheet
from kdseg.engine.judge.participants import trained_participants
from kdseg.engine.learn.participants import resolve_tap
from kdseg.errors import KdsegError, did_you_mean, display_path
from kdseg.feature_maps import as_array, attention, dead_channels, principal_components
from kdseg.recipe.load import load_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from torch import Tensor, nn

    from kdseg.engine.learn.participants import Participant

    Values = npt.NDArray[np.float64]

LOGITS = "logits"
_MAP = 4
"""Dimensions of a tensor that is a map: images, channels, height, width."""


@frozen(kw_only=True)
class Layer:
    """What one layer makes of the picture."""

    kind: str
    """The class of its module."""
    shape: tuple[int, ...]
    """Without the image's dimension: C×h×w, for maps."""
    min: float
    mean: float
    max: float
    std: float
    """Of the finite values; nan, where there is none."""
    zeros: float
    """The share of values that are 0."""
    not_finite: float
    """The share of values that are nan or infinite."""
    dead: tuple[int, ...] | None
    """Channels that are the same in all cells; None for what is no map."""


@frozen(kw_only=True, eq=False)
class Seen:
    """A layer, with what is drawn of it where it is a map."""

    layer: Layer
    attention: Values | None
    """h×w, as `kdseg.feature_maps.attention` gives it."""
    components: Values | None
    """Up to three principal components, k×h×w."""


def inspect_run(
    path: Path,
    image: Path,
    output: Path,
    *,
    models: Sequence[str],
    which: Literal["best", "last"],
    taps: Sequence[str],
    every_layer: bool,
) -> dict[str, dict[str, Layer]]:
    """Look at what participants of a run make of a picture, and draw it.

    Args:
        path: the run.
        image: any picture; the networks see it at its own size, at once.
        output: the PNG file that is written.
        models: participants by name; all, where none is named.
        which: their weights.
        taps: stages or dotted paths of submodules, each of which some participant must have; all stages, where none is
            named.
        every_layer: all innermost modules instead.

    Returns:
        By participant and layer, in the order in which they run, `LOGITS` last.

    Raises:
        KdsegError: where the run, a participant, a tap or the picture is not there, or the file cannot be written.
    """
    if output.resolve() == image.resolve():
        raise KdsegError(f"{display_path(image)} would be overwritten; name another file by --output")
    if output.suffix.lower() != ".png":
        raise KdsegError(f"{display_path(output)}: a PNG is written; name it .png")
    picture = read_rgb(image, upright=True)
    refuse_small(picture, display_path(image))
    run = find_run(path)
    recipe = load_recipe(run / RECIPE).recipe
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    participants = trained_participants(run, recipe, models, which, device)
    asked = {name: _layers_of(one, taps, every_layer=every_layer) for name, one in participants.items()}
    for tap in taps:
        if not any(tap in those for those in asked.values()):
            raise _no_tap(tap, participants)
    normalised = Normalise.of(recipe.data.mean, recipe.data.std, device)(torch.from_numpy(picture)[None].to(device))
    seen = {name: look(one, normalised, asked[name]) for name, one in participants.items()}
    heading = f"{run.parent.name}, {which} weights, {image.name}"
    write_image(output, inspection_sheet(heading, picture, seen))
    return {name: {layer: one.layer for layer, one in those.items()} for name, those in seen.items()}


@torch.no_grad()
def look(participant: Participant, images: Tensor, layers: Mapping[str, nn.Module]) -> dict[str, Seen]:
    """Run a network, in eval mode, on one normalised image 1×3×H×W and look at some layers, in the order of running.

    What a layer makes is let go of at once: a large network of many layers needs no more memory than to predict. Of a
    layer that runs several times, the last counts; one that gives no tensor is left out.
    """
    participant.set_training(False)
    seen: dict[str, Seen] = {}

    def hook(name: str, module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and output.numel() and output.dtype.is_floating_point:
            seen.pop(name, None)
            seen[name] = _seen(type(module).__name__, output)

    handles = [module.register_forward_hook(partial(hook, name)) for name, module in layers.items()]
    try:
        logits = participant.logits(images)
    finally:
        for handle in handles:
            handle.remove()
    return {**seen, LOGITS: _seen(type(participant.module).__name__, logits)}


def as_plain(layer: Layer) -> dict[str, Any]:
    """Give a layer's numbers for JSON."""
    return asdict(layer)


def _seen(kind: str, output: Tensor) -> Seen:
    values = as_array(output)
    finite = np.isfinite(values)
    some = values[finite] if not finite.all() else values.reshape(-1)
    is_map = values.ndim == _MAP
    layer = Layer(
        kind=kind,
        shape=tuple(values.shape[1:]),
        min=float(some.min()) if len(some) else float("nan"),
        mean=float(some.mean()) if len(some) else float("nan"),
        max=float(some.max()) if len(some) else float("nan"),
        std=float(some.std()) if len(some) else float("nan"),
        zeros=float((values == 0).mean()),
        not_finite=float(1 - finite.mean()),
        dead=dead_channels(values) if is_map else None,
    )
    if not is_map:
        return Seen(layer=layer, attention=None, components=None)
    return Seen(layer=layer, attention=attention(values)[0], components=principal_components(values, 3).maps[0])


def _layers_of(participant: Participant, taps: Sequence[str], *, every_layer: bool) -> dict[str, nn.Module]:
    """Give the layers of a participant that are asked for and that it has."""
    backbone, network = participant.backbone, participant.module
    if taps:
        known = _known(participant)
        return {tap: resolve_tap(backbone, network, tap) for tap in taps if tap in known}
    stages = dict(backbone.taps(network))
    if stages and not every_layer:
        return stages
    return {name: module for name, module in _submodules(network).items() if not [*module.children()]}


def _submodules(network: nn.Module) -> dict[str, nn.Module]:
    """Give the submodules that can be looked at: those of TorchScript take no hooks."""
    scripted = torch.jit.ScriptModule
    return {name: one for name, one in network.named_modules() if name and not isinstance(one, scripted)}


def _known(participant: Participant) -> list[str]:
    """Give the stages of a participant, then its submodules."""
    return list(dict.fromkeys([*participant.backbone.taps(participant.module), *_submodules(participant.module)]))


def _no_tap(tap: str, participants: dict[str, Participant]) -> KdsegError:
    known = list(dict.fromkeys(name for one in participants.values() for name in _known(one)))
    stages = dict.fromkeys(name for one in participants.values() for name in one.backbone.taps(one.module))
    hint = did_you_mean(tap, known) or f"; there are {', '.join(stages)}"
    return KdsegError(f"{' and '.join(participants)}: no tap {tap!r}{hint}")
