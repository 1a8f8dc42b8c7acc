"""What Weights & Biases has written of a run on this disk."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BLOCK = 32768
_FILE_HEADER = 7
_HEADER = struct.Struct("<IHB")
"""Of a piece of a record: its checksum, its length and which piece it is."""
_FULL, _FIRST, _LAST = 1, 2, 4


def last_row(folder: Path) -> int:
    """Give the number of the last row of history in all of a run's files below ``FOLDER/wandb``, -1 without one."""
    rows = (
        record.history.step.num
        for file in folder.glob("wandb/*run-*/*.wandb")
        for record in _records(file)
        if record.HasField("history")
    )
    return max(rows, default=-1)


def holds_run(folder: Path) -> bool:
    """Whether there is anything in one of those folders: a process that is killed early leaves none, and no sync."""
    return any(record.HasField("run") for file in folder.glob("*.wandb") for record in _records(file))


def _records(file: Path) -> Iterator[Any]:
    """Give the records of a file, which are laid out as LevelDB lays out its log, up to what a killed process cut off.

    No piece lies across the boundary of two blocks.
    """
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined] # made as it is imported

    data, at, record = file.read_bytes(), _FILE_HEADER, b""
    while at + _HEADER.size <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < _HEADER.size:
            at += left
            continue
        _, length, piece = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        if at + length > len(data) or not _FULL <= piece <= _LAST:
            return
        record = data[at : at + length] if piece in (_FULL, _FIRST) else record + data[at : at + length]
        at += length
        if piece in (_FULL, _LAST):
            yield Record.FromString(record)
