"""What keeps of a split are known by: the dataset with its options, and the names, sizes and times of its files."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from attrs import frozen

from kdseg.engine.folders.files import sha256
from kdseg.recipe.single import plain_component

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kdseg.components import Dataset
    from kdseg.data.samples import Samples
    from kdseg.engine.check.phases import Checked
    from kdseg.registry import Registry


def lie_in_files(samples: Samples) -> bool:
    """Whether samples are read from files, as `kdseg.FileSamples` are."""
    return hasattr(samples, "files")


@frozen(kw_only=True)
class Split:
    """One split of a dataset."""

    name: str
    dataset: Dataset
    samples: Samples
    num_classes: int


def splits_of(checked: Checked) -> tuple[str, ...]:
    """Name what a run reads: its splits, and ``unlabelled`` where it has such images."""
    return ("train", "val") if checked.unlabelled is None else ("train", "val", "unlabelled")


def split_of(checked: Checked, name: str) -> Split:
    """Give one of `splits_of`."""
    unlabelled = checked.loaded.recipe.data.unlabelled
    if name == "unlabelled" and unlabelled is not None and checked.unlabelled is not None:
        label = f"unlabelled {unlabelled.split}"  # what is kept of it has masks that are ignored
        return Split(
            name=label, dataset=unlabelled.dataset, samples=checked.unlabelled, num_classes=len(checked.classes)
        )
    samples = checked.train if name == "train" else checked.val
    dataset = checked.loaded.recipe.data.for_split(name)
    return Split(name=name, dataset=dataset, samples=samples, num_classes=len(checked.classes))


def stamp(files: Sequence[Path]) -> str:
    """Give what changes when a sample's files do: their names, sizes and times."""
    facts = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            facts.append((str(file), -1, -1))
        else:
            facts.append((str(file), status.st_size, status.st_mtime_ns))
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def digest_of(split: Split, registry: Registry, *more: int) -> str:
    """Give what changes when the dataset, its options or its code do, or the split is another; `more` count too."""
    entry = registry.entry_of(type(split.dataset))
    code = entry.version if entry.path is None else sha256(entry.path)
    facts = [*more, code, plain_component(split.dataset, registry), split.name]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:32]
