"""Scans of splits, kept from one run to the next as long as the files stay as they are."""

from __future__ import annotations

import logging
import zipfile
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, frozen

from kdseg.cache import cache_folder
from kdseg.data.resample import ResampledFiles
from kdseg.data.scan import Scan, empty_scan, scan
from kdseg.engine.folders.files import write_whole
from kdseg.engine.machine.progress import counted
from kdseg.engine.splits.stamps import Split, digest_of, lie_in_files, split_of, stamp
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kdseg.engine.check.phases import Checked
    from kdseg.registry import Registry

MOST_DRAWN = 2000
"""Samples that lie in no files and are read to learn the classes' shares."""
LAYOUT = 4
"""Of the kept scans: raised when they or what is read of files change, so that old ones are not read."""
log = logging.getLogger("kdseg")


def scan_split(split: Split, registry: Registry, *, workers: int, most: int | None = None) -> Scan:
    """Scan a split, showing progress; of files, only those that are new or changed since the last scan are read.

    Args:
        split: what to scan.
        registry: names the dataset's component.
        workers: processes that read; 0 reads in this one.
        most: of samples that lie in no files, scan so many, evenly spaced.
    """
    if isinstance(split.samples, ResampledFiles):  # the whole split is kept, for all who take some of it
        whole = scan_split(evolve(split, samples=split.samples.samples), registry, workers=workers)
        return whole.pick(split.samples.indices)
    if not lie_in_files(split.samples):
        length = len(split.samples)
        read = min(length, most or length)
        return _scan_shown(split, [position * length // read for position in range(read)], workers)
    place = _place(split, registry)
    stamps = [stamp(files) for files in split.samples.files]  # type: ignore[attr-defined]
    kept = _kept(place, split.num_classes)
    new = [index for index, stamp in enumerate(stamps) if stamp not in kept.rows]
    if not new:
        return kept.pick(stamps)
    found = _scan_shown(split, new, workers)
    whole = kept.joined([stamps[index] for index in new], found).pick(stamps)
    _keep(place, stamps, whole)
    return whole


def scan_training(checked: Checked) -> Scan:
    """Scan what the learners train on.

    Of samples that lie in no files, a part tells the classes' shares; where they are drawn by their classes, all count.

    Raises:
        KdsegError: one of them is not as it must be.
    """
    recipe = checked.loaded.recipe
    found = scan_split(
        split_of(checked, "train"),
        checked.loaded.plugins.registry,
        workers=recipe.train.workers,
        most=MOST_DRAWN if recipe.data.rare_classes is None else None,
    )
    if defect := next(filter(None, found.defects), None):
        raise KdsegError(defect)
    return found


def _scan_shown(split: Split, indices: Sequence[int], workers: int) -> Scan:
    log.info("reading %d images of the %s split", len(indices), split.name)
    with counted(split.name, len(indices)) as on_sample:
        return scan(split.samples, split.num_classes, indices=indices, workers=workers, on_sample=on_sample)


@frozen(eq=False)
class _Kept:
    """A scan whose rows are found by their files' stamps."""

    rows: dict[str, int]
    scan: Scan

    def pick(self, stamps: Sequence[str]) -> Scan:
        """Give the rows of these stamps, in this order."""
        return self.scan.pick([self.rows[stamp] for stamp in stamps])

    def joined(self, stamps: Sequence[str], more: Scan) -> _Kept:
        """Give it with more rows."""
        first = len(self.scan)
        return _Kept(
            rows={**self.rows, **{stamp: first + number for number, stamp in enumerate(stamps)}},
            scan=Scan(
                sizes=np.concatenate([self.scan.sizes, more.sizes]),
                pixels=np.concatenate([self.scan.pixels, more.pixels]),
                boundary=np.concatenate([self.scan.boundary, more.boundary]),
                defects=(*self.scan.defects, *more.defects),
            ),
        )


def _kept(place: Path, num_classes: int) -> _Kept:
    nothing = _Kept(rows={}, scan=empty_scan(0, num_classes))
    try:
        with place.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            found = Scan(
                sizes=file["sizes"],
                pixels=file["pixels"],
                boundary=file["boundary"],
                defects=tuple(file["defects"].tolist()),
            )
            return _Kept(rows={stamp: row for row, stamp in enumerate(file["stamps"].tolist())}, scan=found)
    except FileNotFoundError:
        return nothing
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        log.warning("%s: cannot be read (%s); the images are read again", place, error)
        return nothing


def _keep(place: Path, stamps: Sequence[str], found: Scan) -> None:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(
                file,
                stamps=np.array(stamps, dtype=np.str_),
                sizes=found.sizes,
                pixels=found.pixels,
                boundary=found.boundary,
                defects=np.array(found.defects, dtype=np.str_),
            )

    try:
        write_whole(place, write)
    except OSError as error:
        log.warning("%s: cannot be written (%s); the next run reads the images again", place, error.strerror)


def _place(split: Split, registry: Registry) -> Path:
    """Give where the scan of a split is kept: a file for each dataset with its options, split and number of classes."""
    return cache_folder() / "scans" / f"{digest_of(split, registry, LAYOUT, split.num_classes)}.npz"
