"""Files that `kdseg export` wrote: read, and used as models."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from kdseg.components import Exporter, RunnerContext
from kdseg.data.images import byte_batch, resized
from kdseg.engine.models.model import CARD_FIELDS, SegmentationModel
from kdseg.engine.models.whole_image import AT_ONCE
from kdseg.errors import KdsegError, display_path, one_line
from kdseg.exports import PRECISIONS
from kdseg.plugins import load_plugins
from kdseg.registry import check_requirements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from kdseg.engine.models.whole_image import WholeImage
    from kdseg.exports import Runner
    from kdseg.registry import Entry, Registry

_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    **{key: fits for key, fits in CARD_FIELDS.items() if key not in ("backbone", "options")},
    "output": lambda value: value in ("classes", "logits"),
    "precision": lambda value: value in PRECISIONS,
    "size": lambda value: (
        value is None or (isinstance(value, list) and [type(side) for side in value] == [int, int] and min(value) > 0)
    ),
}
"""What the card in an exported file must hold, by key."""


class ExportedModel(SegmentationModel):
    """An exported file, ready to use as a model is.

    A file that takes images of one size alone is shown every image at that size; what it says is brought back to the
    image's own.
    """

    def __init__(self, file: Path, card: Mapping[str, Any], runner: Runner) -> None:
        super().__init__(nn.Identity(), card)
        self.file, self.card = file, card
        self.gives_logits: bool = card["output"] == "logits"
        self.size: tuple[int, int] | None = None if card["size"] is None else (card["size"][0], card["size"][1])
        self._runner = runner

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Give logits N×C×H×W for float RGB images N×3×H×W in 0..1, on the CPU.

        Raises:
            KdsegError: the file gives classes alone, or something else than its card says.
        """
        if not self.gives_logits:
            raise KdsegError(f"{display_path(self.file)}: gives classes alone; export with --logits for logits")
        size = (images.shape[2], images.shape[3])
        seen = images.cpu().float() if self.size is None else resized(images.cpu().float(), self.size)
        return resized(self._run(seen), size)

    @torch.no_grad()
    def predict(self, images: Any, whole_image: WholeImage = AT_ONCE) -> Any:
        """Give the class index of each pixel, as `SegmentationModel.predict` does.

        Raises:
            KdsegError: it gives classes alone, and windows, scales or mirrored views are wanted; or it gives something
                else than its card says.
        """
        if self.gives_logits:
            return super().predict(images, whole_image)
        batch = byte_batch(images)
        if not whole_image.sees_once(batch):
            raise KdsegError(
                f"{display_path(self.file)}: gives classes alone, and windows, scales and mirrored views are made one "
                "by their logits; export with --logits"
            )
        classes = self._classes(batch)
        if images.ndim == 3:  # noqa: PLR2004 (one image)
            classes = classes[0]
        return classes if isinstance(images, torch.Tensor) else self._array(classes)

    def _classes(self, batch: Tensor) -> Tensor:
        if self.size is None or tuple(batch.shape[2:]) == self.size:
            return self._run(batch)
        seen = resized(batch.float(), self.size).round().clamp(0, 255).to(torch.uint8)
        found = self._run(seen)[:, None].float()
        return F.interpolate(found, tuple(batch.shape[2:]), mode="nearest-exact")[:, 0].to(torch.uint8)

    def _run(self, images: Tensor) -> Tensor:
        if self.size is None or len(images) == 1:
            return self._answer(images)
        return torch.cat([self._answer(image[None]) for image in images])

    def _answer(self, images: Tensor) -> Tensor:
        seen = f"{len(images)} images of {images.shape[2]}x{images.shape[3]}"
        try:
            found: object = self._runner(images.contiguous())
        except KdsegError:
            raise
        except Exception as error:  # of any library
            raise KdsegError(
                f"{display_path(self.file)}: cannot run on {seen}: {type(error).__name__}: {one_line(error)}"
            ) from error
        count, _, *size = images.shape
        kind, shape = torch.uint8, (count, *size)
        if self.gives_logits:
            kind, shape = torch.float32, (count, len(self.classes), *size)
        if isinstance(found, torch.Tensor) and (found.dtype, found.shape) == (kind, shape):
            return found
        given = _as_text(found.dtype, found.shape) if isinstance(found, torch.Tensor) else f"a {type(found).__name__}"
        raise KdsegError(
            f"{display_path(self.file)}: gives {given} for {seen}, and its card says {self.card['output']}, which "
            f"are {_as_text(kind, shape)}; tell whoever wrote the exporter"
        )

    @staticmethod
    def _array(classes: Tensor) -> npt.NDArray[np.uint8]:
        found: npt.NDArray[np.uint8] = classes.numpy()
        return found


def _as_text(kind: torch.dtype, shape: Iterable[int]) -> str:
    return f"{str(kind).removeprefix('torch.')} {'x'.join(map(str, shape))}"


def open_exported(
    file: Path, *, trust_code: bool, threads: int | None = None, registry: Registry | None = None
) -> ExportedModel:
    """Open a file that `kdseg export` wrote.

    Args:
        file: the file.
        trust_code: open it even where that can run code of its maker's.
        threads: of the processor; as many as PyTorch has, if left out.
        registry: where exporters are found; what is installed, if left out.

    Raises:
        KdsegError: it is none, is damaged, its library is missing, or it is not trusted.
    """
    entry, card = read_exported(file, registry or load_plugins().registry)
    exporter = make_exporter(entry)
    if exporter.runs_code and not trust_code:
        raise KdsegError(
            f"{display_path(file)}: opening it can run code of its maker's with all that you may do; where you trust "
            "them, say trust_code=True to kdseg.load, or --trust-code to the verb"
        )
    with exporter_told(entry.qualified, f"open {display_path(file)}"):
        runner = exporter.open(file, RunnerContext(card=card, threads=threads or torch.get_num_threads()))
    return ExportedModel(file, card, runner).eval()


def read_exported(file: Path, registry: Registry) -> tuple[Entry, Mapping[str, Any]]:
    """Give the exporter that wrote a file, and the card in it.

    Raises:
        KdsegError: it is no such file, is damaged, or its library is missing.
    """
    entries = registry.of_kind("exporter")
    takers = [entry for entry in entries if file.suffix.lower() == suffix_of(entry)]
    if not takers:
        suffixes = ", ".join(sorted({suffix_of(entry) for entry in entries}))
        found = f"is no exported file; those end in {suffixes}" if suffixes else "no exporter is here to open it"
        lost = " or ".join(absence.cause for absence in registry.absences)
        raise KdsegError(f"{display_path(file)}: {found}{f'; one may have come from {lost}' if lost else ''}")
    cards, said = [], []
    for entry in takers:
        try:
            card = _card_by(entry, file)
        except KdsegError as error:  # another package's exporter may share a suffix, and keeps no file from its own
            said.append(str(error))
        else:
            cards += [] if card is None else [(entry, card)]
    if not cards:
        nothing = f"{display_path(file)}: carries nothing of kdseg's; `kdseg export` writes files that do"
        raise KdsegError("; ".join(said) or nothing)
    entry, card = next(((entry, card) for entry, card in cards if card.get("exporter") == entry.qualified), cards[0])
    if wrong := [key for key, fits in _FIELDS.items() if key not in card or not fits(card[key])]:
        raise KdsegError(f"{display_path(file)}: damaged: its {', '.join(wrong)} are not what a model needs")
    if len(card["colours"]) != len(card["classes"]):
        raise KdsegError(f"{display_path(file)}: damaged: as many colours as classes are needed")
    return entry, card


def _card_by(entry: Entry, file: Path) -> Mapping[str, Any] | None:
    """Give the card that an exporter reads in a file; None where it finds none.

    Raises:
        KdsegError: its library is missing, or it fails.
    """
    check_requirements(entry)
    with exporter_told(entry.qualified, f"read {display_path(file)}"):
        card = make_exporter(entry).read(file)
    if card is not None and not isinstance(card, Mapping):
        raise KdsegError(f"exporter {entry.qualified} reads a {type(card).__name__} in {display_path(file)}, no card")
    return card


def suffix_of(entry: Entry) -> str:
    """Give the suffix of an exporter's files."""
    assert issubclass(entry.cls, Exporter)
    return entry.cls.suffix


@contextmanager
def exporter_told(name: str, what: str) -> Iterator[None]:
    """Tell what an exporter raises as what it cannot do; what the disk refuses stays as it is.

    Raises:
        KdsegError: in place of it.
    """
    try:
        yield
    except (KdsegError, OSError):
        raise
    except Exception as error:  # of any plugin, or its library
        raise KdsegError(f"exporter {name} cannot {what}: {type(error).__name__}: {one_line(error)}") from error


def make_exporter(entry: Entry) -> Exporter:
    """Make an exporter, with its options' defaults."""
    exporter = entry.cls()
    assert isinstance(exporter, Exporter)
    return exporter
