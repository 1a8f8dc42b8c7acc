"""Files written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, bring it to the disk, then put it in `path`'s place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft_of(path)
    try:
        write(draft)
        _to_disk(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    _to_disk(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, for people and scripts."""
    text = json_text(value, indent=2) + "\n"
    write_whole(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def json_text(value: Any, indent: int | None = None) -> str:
    """Give a value as JSON that any reader takes: JSON knows no NaN and no infinity, which become null."""
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; at the end it is on the disk and at `path`, or, after an error, nowhere."""
    import shutil

    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft_of(path)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        yield draft
        for file in draft.iterdir():
            _to_disk(file)
        _to_disk(draft)
        shutil.rmtree(path, ignore_errors=True)
        draft.rename(path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    _to_disk(path.parent)


def _draft_of(path: Path) -> Path:
    """Give where a file is written first: always there, so that what a killed process left is written over."""
    return path.with_name(f".{path.name}.draft")


def sha256(path: Path) -> str:
    """Give a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
