"""Defects for people: what is wrong with many files alike is told once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_ALIKE = 3
"""Files of which each is told, though they have the same defect."""
_PIXELS = re.compile(r"\((\d+) pixels\)")


def gathered(defects: Iterable[str]) -> list[str]:
    """Give the texts of defects, each ``FILE: TEXT``, with one for all that differ in nothing but their file.

    Where a text counts pixels, as ``(120 pixels)``, those of all files are added up.
    """
    alike: dict[str, list[str]] = {}
    for defect in defects:
        alike.setdefault(_kind(defect), []).append(defect)
    return [line for those in alike.values() for line in (those if len(those) <= MOST_ALIKE else [_together(those)])]


def _kind(defect: str) -> str:
    """Give what defects that are alike have in common."""
    file, _, text = defect.partition(": ")
    return _PIXELS.sub("(pixels)", text.replace(Path(file).stem, "…"))


def _together(defects: list[str]) -> str:
    files = [defect.partition(": ")[0] for defect in defects]
    pixels = sum(int(found[1]) for defect in defects if (found := _PIXELS.search(defect)))
    first = _PIXELS.sub(f"({pixels} pixels in {len(files)} files)", defects[0])
    return f"{first}; and so {len(files) - 1} more files, {files[1]} the next of them"
