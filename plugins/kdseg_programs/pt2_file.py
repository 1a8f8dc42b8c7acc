"""Files of torch.export that leave a run: written, read and run."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import torch

from kdseg import KdsegError
from kdseg_programs.archives import refuse_other
from kdseg_programs.cards import KEY, card_of_text, card_text
from kdseg_programs.exported import quiet
from kdseg_programs.tracing import traced

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from kdseg import ExportContext

_EXTRA = f"{KEY}.json"


def write_pt2(ctx: ExportContext) -> None:
    """Write a program of torch.export; in bf16 the network alone is cast, not what comes before and after it.

    Raises:
        KdsegError: the network cannot be traced.
    """
    if ctx.precision == "bf16":
        ctx.network.to(torch.bfloat16)
    program = traced(ctx)
    written = io.BytesIO()  # torch's own writer ends the process where a disk is full
    with quiet():
        torch.export.save(program, written, extra_files={_EXTRA: card_text(ctx.card)})
    ctx.file.write_bytes(written.getvalue())


def read_pt2_card(file: Path) -> dict[str, Any] | None:
    """Give the card in a `.pt2` file, without opening its program; None where there is none.

    Raises:
        KdsegError: it is no such file, or damaged.
    """
    refuse_other(file, "exported")
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if name.endswith(f"/extra/{_EXTRA}")]
            text = archive.read(names[0]).decode() if names else None
    except (zipfile.BadZipFile, OSError, UnicodeDecodeError) as error:
        raise KdsegError(f"{file}: damaged: {error}") from error
    return None if text is None else card_of_text(file, text)


class Pt2Runner:
    """Runs an exported `.pt2` file."""

    def __init__(self, file: Path) -> None:
        with quiet():
            try:
                self._module = torch.export.load(str(file)).module()
            except Exception as error:  # of many parts of torch
                told = " ".join(str(error).split())[:300]
                raise KdsegError(f"{file}: torch {torch.__version__} cannot open it: {told}") from error

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Give its only output."""
        found: Tensor = self._module(images)
        return found
