"""Weights that are parted among several files: an index says which tensor lies in which of them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from kdseg.engine.folders.files import sha256
from kdseg.errors import KdsegError, display_path, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_INDEX = ".index.json"
_NAMED = 3
"""Files that a message names."""


def is_index(path: Path) -> bool:
    """Whether a file is an index, by its name: ``model.safetensors.index.json``."""
    return path.name.endswith(_INDEX)


def read_index(path: Path) -> dict[Path, list[str]]:
    """Give the names of the tensors in each file beside an index, the files sorted.

    Raises:
        KdsegError: it is no index, or a file that it names is missing or lies elsewhere.
    """
    try:
        places = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        shards: dict[str, list[str]] = {}
        for name, shard in places.items():
            shards.setdefault(shard, []).append(name)
        files = {path.parent / shard: shards[shard] for shard in sorted(shards)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        text = f"{type(error).__name__}: {one_line(str(error))}"
        raise KdsegError(
            f"{display_path(path)}: is no index, which says under weight_map which tensor is in which file: {text}"
        ) from error
    if not files:
        raise KdsegError(f"{display_path(path)}: its weight_map names no tensor")
    for file in files:
        if file.parent != path.parent or is_index(file):
            raise KdsegError(f"{display_path(path)}: names {display_path(file)}; the files of weights lie beside it")
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise KdsegError(
            f"{display_path(path)}: {len(missing)} of the {len(files)} files that it names are not beside it: "
            f"{_some(missing)}"
        )
    return files


def refuse_absent(index: Path, file: Path, wanted: Sequence[str], found: Mapping[str, object]) -> None:
    """Refuse a file that lacks tensors which the index puts there.

    Raises:
        KdsegError: naming some of them.
    """
    absent = [name for name in wanted if name not in found]
    if absent:
        raise KdsegError(
            f"{display_path(index)}: puts into {file.name} what that lacks, {_some(absent)}; index and files are not "
            "of one network: fetch them again"
        )


def weights_digest(path: Path) -> str:
    """Give the SHA-256 of a file of weights; of an index, that of what `sha256sum` prints for it and its files.

    Raises:
        KdsegError: as `read_index` does.
    """
    if not is_index(path):
        return sha256(path)
    lines = (f"{sha256(file)}  {file.name}\n" for file in (path, *read_index(path)))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
