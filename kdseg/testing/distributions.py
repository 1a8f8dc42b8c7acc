"""Distributions that look installed, in milliseconds instead of pip's seconds."""

from __future__ import annotations

import importlib
import os
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def fake_dist(
    folder: Path, name: str, *, entry_points: Mapping[str, str], files: Mapping[str, str], version: str = "1.0"
) -> None:
    """Write a distribution into a folder as pip would install it there.

    Args:
        folder: where; put it on the path with `on_path`.
        name: the distribution's name, such as ``kdseg-mine``.
        entry_points: of the group ``kdseg``: plugin name to module, ``{"mine": "kdseg_mine"}``.
        files: relative path to Python source, ``{"kdseg_mine.py": "..."}``.
        version: the distribution's version.
    """
    stem = re.sub(r"[-_.]+", "_", name)
    info = folder / f"{stem}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    points = "".join(f"{point} = {module}\n" for point, module in entry_points.items())
    (info / "entry_points.txt").write_text(f"[kdseg]\n{points}", encoding="utf-8")
    for path, source in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(source, encoding="utf-8")
    importlib.invalidate_caches()


@contextmanager
def on_path(folder: Path) -> Iterator[Path]:
    """Put a folder first on `sys.path`; afterwards forget it and the modules that came from it."""
    inside = str(folder) + os.sep
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield folder
    finally:
        sys.path.remove(str(folder))
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if file is not None and str(file).startswith(inside):
                del sys.modules[name]
        importlib.invalidate_caches()
