"""Folders and what lies below them, for whoever looks for pictures."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".jp2")
"""Suffixes of files that are taken for pictures where a folder is named."""


def shown(folder: Path) -> list[os.DirEntry[str]]:
    """Give what a folder holds, sorted by name. Names with a dot in front are hidden: macOS leaves such beside copies.

    Raises:
        KdsegError: it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise KdsegError(f"{folder}: cannot be read: {error.strerror}") from error


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one. One that leads nowhere, or in a circle, is none."""
    return entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and os.path.isdir(entry.path))  # noqa: PTH112 (a path it has)


def walk(folder: Path) -> Iterator[tuple[tuple[str, ...], Path, list[os.DirEntry[str]]]]:
    """Give a folder and all below it, sorted: the names on the way, the folder, and what it shows.

    Links to folders are followed, but for those that lead back: to a folder on the way, or above the first.

    Raises:
        KdsegError: one cannot be read.
    """
    yield from _walk(folder, (), frozenset(map(_identity, folder.resolve().parents)))


def _walk(
    folder: Path, names: tuple[str, ...], above: frozenset[tuple[int, int]]
) -> Iterator[tuple[tuple[str, ...], Path, list[os.DirEntry[str]]]]:
    entries = shown(folder)
    yield names, folder, entries
    way = above | {_identity(folder)}
    for entry in entries:
        if is_folder(entry) and _identity(folder / entry.name) not in way:
            yield from _walk(folder / entry.name, (*names, entry.name), way)


def _identity(folder: Path) -> tuple[int, int]:
    """Give what tells a folder from all others, by whichever path it is reached."""
    status = folder.stat()
    return status.st_dev, status.st_ino
