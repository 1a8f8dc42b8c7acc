"""A network as several runtimes run it: an image in, its class map out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from kdseg.engine.folders.run_folder import file_instead
from kdseg.engine.models.exported import ExportedModel, open_exported
from kdseg.engine.models.model import SegmentationModel
from kdseg.engine.models.optimised import optimise
from kdseg.engine.profile.drafts import drafts, exporter_of
from kdseg.errors import KdsegError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from kdseg.engine.models.optimised import Precision
    from kdseg.registry import Registry

RUNTIMES: Mapping[str, str] = {
    "eager": "PyTorch as it comes, images and weights channel by channel",
    "channels_last": "with images and weights in channels_last",
    "optimized": "kdseg.load(..., optimize=True): batch normalisation folded too; on a GPU as a CUDA graph",
    "bf16": "the same, precision='bf16'",
    "compiled": "the same in fp32, compile=True",
    "compiled-bf16": "the same in bf16, compile=True",
}
"""What each does; every one takes what its predecessors have."""
BF16 = ("bf16", "compiled-bf16")


Make = Callable[["nn.Module", "Mapping[str, Any]"], SegmentationModel]
"""Gives a copy of a network, in eval mode on the CPU in float32, with its card, as a runtime has it."""


@contextmanager
def runtime(
    name: str, *, size: tuple[int, int], device: torch.device, registry: Registry, trust_code: bool = False
) -> Iterator[Make]:
    """Give what makes networks into models of a runtime, which last as long as the context.

    Args:
        name: one of `RUNTIMES`; an exporter with a precision, as ``openvino-bf16``; or a file that was exported, which
            is what any network is made into then.
        size: height and width of the images.
        device: where PyTorch's come to lie; exported ones run on the processor, with as many threads as PyTorch.
        registry: knows the exporters.
        trust_code: open a file even where that can run code of its maker's.

    Raises:
        KdsegError: there is no such runtime or file; the file cannot be opened or does other work than the network;
            or the exporter's libraries are missing.
    """
    exporters = [entry.name for entry in registry.of_kind("exporter")]
    if name in RUNTIMES:
        yield lambda network, card: _by_pytorch(name, network, card, device)
    elif Path(name).is_file():
        yield lambda _network, card: _opened(Path(name), size, card, trust_code=trust_code)
    elif exporter_of(name)[0] in exporters:
        with drafts(name, size, registry) as make:
            yield make
    elif Path(name).suffix or Path(name).name != name:
        raise KdsegError(f"--runtime {name}: no such file{file_instead(Path(name))}")
    else:
        hint = did_you_mean(name, [*RUNTIMES, *exporters])
        known = f"; there are {', '.join(RUNTIMES)}, exporters ({', '.join(exporters)}), and files of kdseg export"
        raise KdsegError(f"--runtime {name}: no such runtime{hint or known}")


def _by_pytorch(name: str, network: nn.Module, card: Mapping[str, Any], device: torch.device) -> SegmentationModel:
    mine = copy.deepcopy(network)
    if name == "eager":  # a run's weights come in channels_last
        mine = mine.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload] # torch's stub lacks it
        return _Contiguous(mine, card).eval().to(device)
    mine = mine.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stub lacks it
    if name != "channels_last":
        precision: Precision = "bf16" if name in BF16 else "fp32"
        mine = optimise(mine, device, precision, compiled=name.startswith("compiled"))
    return SegmentationModel(mine, card).eval().to(device)


def _opened(file: Path, size: tuple[int, int], card: Mapping[str, Any], *, trust_code: bool) -> ExportedModel:
    """Open a file, and refuse one that would be measured doing other work than the network.

    Raises:
        KdsegError: it cannot be opened, sees images at another size, or tells other classes apart.
    """
    model = open_exported(file, trust_code=trust_code)
    takes, sees = (None if seen is None else tuple(seen) for seen in (model.card["size"], model.card.get("resize")))
    if takes and sees and takes != sees:
        raise KdsegError(
            f"--runtime {file}: takes images of {_by(takes)} alone (its size), seen at {_by(sees)} (its resize), which "
            "is other work than the network's at any --size: it cannot be measured beside it; export another "
            "file, with one of both"
        )
    for key, seen in (("size", takes), ("resize", sees)):
        if seen and seen != size:
            raise KdsegError(
                f"--runtime {file}: sees every image at {_by(seen)} (its {key}), which is other work than at "
                f"{_by(size)}: measure at that --size, or export another file"
            )
    if len(model.classes) != len(card["classes"]):
        raise KdsegError(
            f"--runtime {file}: tells {len(model.classes)} classes apart, the network {len(card['classes'])}; measure "
            "it beside the run that it came from"
        )
    return model


def _by(size: tuple[int, ...]) -> str:
    return "x".join(map(str, size))


def precision_of(name: str, model: SegmentationModel, device: torch.device) -> str | None:
    """Give the precision in which a runtime calculates, fp32, bf16 or int8; None where not on this device."""
    if isinstance(model, ExportedModel):
        return str(model.card["precision"]) if device.type == "cpu" else None
    return "bf16" if name in BF16 else "fp32"


def prediction(model: SegmentationModel, images: Tensor) -> Callable[[], object]:
    """Give what predicts the classes of uint8 images N×3×H×W."""
    return lambda: model.predict(images)


class _Contiguous(SegmentationModel):
    """A model whose images lie channel by channel, as PyTorch makes them unasked."""

    def forward(self, images: Tensor) -> Tensor:
        output = self.network(((images - self.mean) / self.std).contiguous())
        logits: Tensor = output["logits"] if isinstance(output, dict) else output
        return logits
