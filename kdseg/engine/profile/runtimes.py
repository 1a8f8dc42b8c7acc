"""A network as several runtimes run it: an image in, its class map out."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from kdseg.engine.models.exported import ExportedModel, open_exported
from kdseg.engine.models.model import SegmentationModel
from kdseg.engine.models.optimised import optimise
from kdseg.errors import KdsegError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor, nn

    from kdseg.engine.models.optimised import Precision

RUNTIMES: Mapping[str, str] = {
    "eager": "PyTorch as it comes",
    "channels_last": "with images and weights in channels_last",
    "optimized": "kdseg.load(..., optimize=True): batch normalisation folded too; on a GPU as a CUDA graph",
    "bf16": "the same, precision='bf16'",
    "compiled": "the same in fp32, compile=True",
    "compiled-bf16": "the same in bf16, compile=True",
}
"""What each does; every one takes what its predecessors have."""
BF16 = ("bf16", "compiled-bf16")


def refuse_unknown(names: Iterable[str]) -> None:
    """Refuse what is neither a runtime nor a file.

    Raises:
        KdsegError: with the nearest name, or all.
    """
    for name in names:
        if name not in RUNTIMES and not is_file(name):
            hint = did_you_mean(name, RUNTIMES) or f"; there are {', '.join(RUNTIMES)}, and files of kdseg export"
            raise KdsegError(f"--runtime {name}: no such runtime{hint}")


def make_runtime(
    name: str, network: nn.Module, card: Mapping[str, Any], device: torch.device, *, trust_code: bool = False
) -> SegmentationModel:
    """Give a copy of a network as a runtime has it; or what an exported file holds, with as many threads as PyTorch.

    Args:
        name: one of `RUNTIMES`, or a file.
        network: in eval mode, on the CPU, in float32.
        card: as `kdseg.engine.models.model.card_of` gives it.
        device: where it comes to lie; a file's runs on the processor.
        trust_code: open a file even where that can run code of its maker's.

    Raises:
        KdsegError: the file cannot be opened.
    """
    if is_file(name):
        return open_exported(Path(name), trust_code=trust_code)
    mine = copy.deepcopy(network)
    if name == "eager":
        return _Contiguous(mine, card).eval().to(device)
    mine = mine.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stub lacks it
    if name != "channels_last":
        precision: Precision = "bf16" if name in BF16 else "fp32"
        mine = optimise(mine, device, precision, compiled=name.startswith("compiled"))
    return SegmentationModel(mine, card).eval().to(device)


def is_file(name: str) -> bool:
    """Whether a runtime's name is an exported file's."""
    return name not in RUNTIMES and Path(name).is_file()


def precision_of(name: str, model: SegmentationModel) -> str:
    """Give the precision in which a runtime calculates: fp32, bf16 or int8."""
    if isinstance(model, ExportedModel):
        return str(model.card["precision"])
    return "bf16" if name in BF16 else "fp32"


def prediction(model: SegmentationModel, images: Tensor) -> Callable[[], object]:
    """Give what predicts the classes of uint8 images N×3×H×W."""
    return lambda: model.predict(images)


class _Contiguous(SegmentationModel):
    """A model whose images stay as they lie."""

    def forward(self, images: Tensor) -> Tensor:
        output = self.network((images - self.mean) / self.std)
        logits: Tensor = output["logits"] if isinstance(output, dict) else output
        return logits
