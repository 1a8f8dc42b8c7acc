"""Your own images: a folder of them, with or without masks; and datasets in the layouts of their downloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.hookspecs import hookimpl
from kdseg_folder.layouts import ADE20K, PascalVOC
from kdseg_folder.options import Folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg.components import Dataset

__all__ = ["ADE20K", "Folder", "PascalVOC", "kdseg_datasets"]


@hookimpl
def kdseg_datasets() -> Iterable[type[Dataset]]:
    """Hand over the datasets."""
    return [ADE20K, Folder, PascalVOC]
