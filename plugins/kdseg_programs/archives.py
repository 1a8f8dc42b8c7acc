"""Which of torch's archives a file is, told without running anything in it."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from kdseg import KdsegError

if TYPE_CHECKING:
    from pathlib import Path

_TOLD = {
    "exported": 'is what torch.export.save wrote; say use = "exported"',
    "torchscript": 'is a TorchScript program; say use = "torchscript"',
    "compiled": "is compiled for one machine by AOTInductor; what torch.export.save wrote is needed",
    "tensors": "is what torch.save wrote of tensors or objects, and no program",
    "": "is no archive of torch's, or is cut short",
}
_WRITER = {"exported": "torch.export.save", "torchscript": "torch.jit.save"}


def refuse_other(file: Path, wanted: str) -> None:
    """Refuse a file that is not of the kind `exported` or `torchscript`.

    Raises:
        KdsegError: saying what it is.
    """
    kind = _kind(file)
    if kind != wanted:
        raise KdsegError(f"{file}: {_TOLD[kind]}; a file of {_WRITER[wanted]} is needed")


def _kind(file: Path) -> str:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return ""
    inside = [name.partition("/")[2] for name in names]
    for kind, marks in (
        ("compiled", ("data/aotinductor/",)),
        ("exported", ("models/",)),
        ("torchscript", ("code/", "constants.pkl")),
        ("tensors", ("data.pkl",)),
    ):
        if any(name.startswith(marks) for name in inside):
            return kind
    return "exported" if "serialized_exported_program.json" in names else ""
