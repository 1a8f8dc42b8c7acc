"""Networks that leave a run on their own, and how anybody loads one."""

from __future__ import annotations

import json
import shutil
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

import torch
from torch import nn

from kdseg.components import KINDS, Backbone, BackboneContext
from kdseg.data.images import channel_constants, image_batch
from kdseg.data.samples import IGNORE_INDEX
from kdseg.engine.folders.files import write_json, write_whole
from kdseg.engine.folders.run_folder import find_run
from kdseg.engine.folders.tensor_files import load_weights
from kdseg.engine.machine.allocator import raise_malloc_thresholds
from kdseg.engine.models.optimised import Precision, optimise
from kdseg.engine.models.whole_image import AT_ONCE, WholeImage
from kdseg.errors import KdsegError, component_told, did_you_mean, display_path, one_line
from kdseg.plugins import load_plugins
from kdseg.recipe.single import component_from_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from kdseg.data.samples import ClassTable
    from kdseg.registry import Registry

CARD = "model.json"
MODELS = "models"
_LONGEST = 300
"""Characters of a component's qualified name."""


class SegmentationModel(nn.Module):
    """A trained network, ready to use.

    Called with float RGB images N×3×H×W in 0..1, any H and W of 32 or more, it gives logits N×C×H×W: it normalises
    inside. It comes in eval mode.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, card: Mapping[str, Any]) -> None:
        super().__init__()
        self.network = network
        self.classes: tuple[str, ...] = tuple(card["classes"])
        self.palette: tuple[tuple[int, int, int], ...] = tuple((r, g, b) for r, g, b in card["colours"])
        self.precision = next((weight.dtype for weight in network.parameters()), torch.float32)
        self.register_buffer("mean", channel_constants(card["mean"]), persistent=False)
        self.register_buffer("std", channel_constants(card["std"]), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Give logits N×C×H×W for float RGB images N×3×H×W in 0..1."""
        normalised = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        output = self.network(normalised.to(self.precision))
        logits: Tensor = output["logits"] if isinstance(output, dict) else output
        return logits

    @overload
    def predict(self, images: npt.NDArray[np.uint8], whole_image: WholeImage = ...) -> npt.NDArray[np.uint8]: ...

    @overload
    def predict(self, images: Tensor, whole_image: WholeImage = ...) -> Tensor: ...

    @torch.no_grad()
    def predict(
        self, images: npt.NDArray[np.uint8] | Tensor, whole_image: WholeImage = AT_ONCE
    ) -> npt.NDArray[np.uint8] | Tensor:
        """Give the class index of each pixel: for one RGB image uint8 H×W, for N of one size N×H×W.

        A NumPy array gives an array, a tensor a tensor on the model's device.

        Args:
            images: an array uint8 H×W×3 or N×H×W×3; or a tensor 3×H×W or N×3×H×W on any device, uint8 or floats in
                0..1.
            whole_image: in which windows, at which scales and mirrored or not the network sees them.

        Raises:
            ValueError: they are something else.
        """
        classes = whole_image.classes(self, image_batch(images, self.mean.device))
        if images.ndim == 3:  # noqa: PLR2004 (one image)
            classes = classes[0]
        return classes if isinstance(images, torch.Tensor) else classes.cpu().numpy()


def load(
    path: str | Path,
    model: str | None = None,
    which: Literal["best", "last"] = "best",
    *,
    trust_code: bool = False,
    device: str | torch.device = "cpu",
    optimize: bool = False,
    precision: Precision = "fp32",
    compile: bool = False,  # noqa: A002 (as torch calls it)
) -> SegmentationModel:
    """Load a learner that a run trained.

    Args:
        path: a run's folder; or a copy of its ``models/NAME`` folder, which is all that a learner needs; or a file that
            ``kdseg export`` wrote, which runs as it is: on the processor, by its own library.
        model: which learner of the run; left out, the one named ``student``, or the only one.
        which: its weights at the best evaluation, or at the end.
        trust_code: a network that came from a plugin file takes that file with it; it is Python code, which runs only
            where this says so. Opening some sorts of exported file can run code, too.
        device: where it comes to lie, such as ``cuda``.
        optimize: make it as fast as PyTorch runs it, for prediction alone: batch normalisation folded into the
            convolutions; on a GPU one CUDA graph for each size; on a CPU glibc keeps freed memory, for the process.
        precision: with `optimize`: bf16 is faster where the processor calculates in it; where two classes are nearly
            equal, the other may win.
        compile: with `optimize`: let torch.compile have it too, some ten seconds at the first image of a size.

    Raises:
        ValueError: `which` or `precision` is none of those, or precision or compile is said without `optimize`.
        KdsegError: where there is no such model, its plugin is missing, its code is not trusted, its files are damaged,
            or there is no such device.
    """
    for name, value, known in (("which", which, ("best", "last")), ("precision", precision, get_args(Precision))):
        if value not in known:
            raise ValueError(f"{name}: must be {' or '.join(map(repr, known))}; found {value!r}")
    if not optimize and (precision != "fp32" or compile):
        raise ValueError("precision and compile: only with optimize=True")
    folder = Path(path)
    if folder.is_file():
        from kdseg.engine.models.exported import open_exported

        if model is not None or which != "best" or optimize:
            raise KdsegError(f"{display_path(folder)}: is an exported file, which runs as it was written")
        return open_exported(folder, trust_code=trust_code)
    if not (folder / CARD).exists():
        folder = model_folder(find_run(folder), model)
    elif model is not None:
        raise KdsegError(f"{display_path(folder)}: is one model's folder, in which no model can be named ({model!r})")
    card = read_card(folder)
    mean, std = tuple(card["mean"]), tuple(card["std"])
    ctx = BackboneContext(in_channels=3, num_classes=len(card["classes"]), mean=mean, std=std)
    backbone = backbone_of(folder, card, trust_code=trust_code)
    with component_told(f"backbone {card['backbone']}"):
        network = backbone.build(ctx)
    load_weights(network, folder / f"{which}.safetensors")
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stub lacks it
    try:
        if optimize:
            raise_malloc_thresholds()
            network = optimise(network.train(mode=False), torch.device(device), precision, compiled=compile)
        return SegmentationModel(network, card).eval().to(device)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built for a GPU
        raise KdsegError(f"no model can lie on the device {str(device)!r} here: {one_line(error)}") from error


def card_of(
    backbone: Mapping[str, Any], classes: ClassTable, mean: tuple[float, ...], std: tuple[float, ...]
) -> dict[str, Any]:
    """Give what a model folder says of its network: all that building it again needs.

    Args:
        backbone: its component as plain values: the qualified name under `use`, and its options.
        classes: what its logits mean.
        mean: of each channel, taken off in 0..1.
        std: of each channel, divided by.
    """
    return {
        "backbone": backbone["use"],
        "options": {name: value for name, value in backbone.items() if name != "use"},
        "plugin_version": _version_of(backbone["use"].split("/")[0]),
        "kdseg_version": _version_of("kdseg"),
        "classes": list(classes.names),
        "colours": [list(colour) for colour in classes.colours],
        "categories": list(classes.categories),
        "mean": list(mean),
        "std": list(std),
    }


def write_card(folder: Path, card: Mapping[str, Any], plugin: Path | None) -> None:
    """Write a model folder's card and, where its backbone comes from a file beside the recipe, that file."""
    write_json(folder / CARD, dict(card))
    if plugin is not None:
        write_whole(folder / plugin.name, lambda draft: shutil.copyfile(plugin, draft))


def read_card(folder: Path) -> dict[str, Any]:
    """Give what a model folder says of its network.

    Raises:
        KdsegError: where it is no model's folder, or the card is damaged.
    """
    path = folder / CARD
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise KdsegError(f"{display_path(folder)}: no model here (no {CARD})") from error
    except (ValueError, RecursionError) as error:
        raise KdsegError(f"{display_path(path)}: damaged: {one_line(error)}") from error
    if not isinstance(card, dict) or not card.keys() >= CARD_FIELDS.keys():
        raise KdsegError(f"{display_path(path)}: damaged: it lacks what a model needs")
    if wrong := [key for key, fits in CARD_FIELDS.items() if not fits(card[key])]:
        raise KdsegError(f"{display_path(path)}: damaged: {' and '.join(wrong)} are not what a model needs")
    if len(card["colours"]) != len(card["classes"]):
        raise KdsegError(f"{display_path(path)}: damaged: as many colours as classes are needed")
    return card


def _numbers(low: float, high: float, count: int) -> Callable[[Any], bool]:
    """Make what tells a list of so many numbers of a range."""
    return lambda value: (
        isinstance(value, list)
        and len(value) == count
        and all(isinstance(number, int | float) and low <= number <= high for number in value)
    )


_COLOUR = _numbers(0, 255, 3)
CARD_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "backbone": lambda value: isinstance(value, str) and value.isprintable() and len(value) <= _LONGEST,
    "options": lambda value: isinstance(value, dict),
    "classes": lambda value: (
        isinstance(value, list) and 0 < len(value) < IGNORE_INDEX and all(isinstance(name, str) for name in value)
    ),
    "colours": lambda value: (
        isinstance(value, list)
        and all(_COLOUR(colour) and all(isinstance(part, int) for part in colour) for colour in value)
    ),
    "mean": _numbers(0, 1, 3),
    "std": _numbers(0.001, 1, 3),
}
"""What a card must hold, by key."""


def _version_of(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except (metadata.PackageNotFoundError, ValueError):  # ValueError: it is no name at all
        return None


def model_folder(run: Path, model: str | None) -> Path:
    """Give the folder of a run's learner: the one named, or `student`, or the only one.

    Raises:
        KdsegError: where there is no such learner, or several to choose from.
    """
    names = sorted(folder.parent.name for folder in (run / MODELS).glob(f"*/{CARD}"))
    if model is None:
        if "student" not in names and len(names) != 1:
            raise KdsegError(
                f"{display_path(run)}: which model? Name one of: {', '.join(names) or 'none is there yet'}"
            )
        model = "student" if "student" in names else names[0]
    if model not in names:
        there = f"; it has {', '.join(names)}" if names else "; none is there yet"
        raise KdsegError(f"{display_path(run)}: no model {model!r}{did_you_mean(model, names)}{there}")
    return run / MODELS / model


def code_of(folder: Path, card: Mapping[str, Any]) -> Path | None:
    """Give the plugin file that a network brought along; None where its plugin is installed, or it brought none."""
    distribution = card["backbone"].split("/")[0]
    code = folder / f"{distribution}.py"
    return code if _version_of(distribution) is None and code.is_file() else None


def backbone_of(
    folder: Path, card: Mapping[str, Any], *, trust_code: bool = False, registry: Registry | None = None
) -> Backbone:
    """Make the component that a model folder's card says.

    Args:
        folder: the model's.
        card: what it says.
        trust_code: run a plugin file that lies in it.
        registry: where the component is found: a recipe's, whose code runs already. What is installed and what lies in
            the folder, if left out.

    Raises:
        KdsegError: it is not here, is code that is not trusted, or its options do not fit; the text names the card and
            what the model was made with.
    """
    distribution = card["backbone"].split("/")[0]
    code = None if registry is not None else code_of(folder, card)
    if code is not None and not trust_code:
        raise KdsegError(
            f"{display_path(code)}: the network is built by this Python file, which would run with all that you may "
            "do; read it, then say trust_code=True to kdseg.load, or --trust-code to the verb"
        )
    try:
        document = {**card["options"], "use": card["backbone"]}
        registry = registry or load_plugins([] if code is None else [code]).registry
        component = component_from_plain(document, KINDS["backbone"], registry)
    except KdsegError as error:
        version = card.get("plugin_version")
        if not isinstance(version, str) or not version.isprintable():
            mend = f"the file {distribution}.py; copy it beside {CARD}"
        else:
            version = version[:_LONGEST]
            mend = f"{distribution} {version}: pip install '{distribution}=={version}'"
        raise KdsegError(f"{display_path(folder / CARD)}: {error}\nThe model was made with {mend}") from error
    assert isinstance(component, Backbone)
    return component
