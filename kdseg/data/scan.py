"""What a split holds: one pass over all of its images and masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, frozen

from kdseg.components import ClassShares
from kdseg.data.labelled import labelled
from kdseg.data.samples import IGNORE_INDEX, Samples
from kdseg.data.workers import read_in_workers
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    Integers = npt.NDArray[np.int64]


@frozen(kw_only=True, eq=False)
class Scan:
    """A split, counted. A row each sample; of one that has a defect, nothing is counted."""

    sizes: Integers
    """N×2: height and width."""
    pixels: Integers
    """N×(C+1): labelled pixels of each class, and in the last column those that are ignored."""
    boundary: Integers
    """N: labelled pixels beside one, above, below, left or right, with another label; ignored ones bound nothing."""
    defects: tuple[str, ...]
    """What is wrong with each sample, naming its file; empty for those in order."""

    def __len__(self) -> int:
        """Give the number of samples."""
        return len(self.defects)

    @property
    def labelled_pixels(self) -> Integers:
        """N×C: labelled pixels of each class."""
        return self.pixels[:, :-1]

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """N×C: whether a sample holds a class."""
        return self.labelled_pixels > 0

    @property
    def pairs(self) -> Integers:
        """C×C: samples that hold both classes; on the diagonal, those that hold one."""
        present = self.present.astype(np.int64)
        return present.T @ present

    def pick(self, rows: Sequence[int] | Integers) -> Scan:
        """Give the scan of some of the samples, in this order."""
        return Scan(
            sizes=self.sizes[rows],
            pixels=self.pixels[rows],
            boundary=self.boundary[rows],
            defects=tuple(self.defects[row] for row in rows),
        )

    def shares(self) -> ClassShares:
        """Give how often each class occurs."""
        counts, present = self.labelled_pixels, self.present
        return ClassShares(
            pixels=tuple(counts.sum(0).tolist()),
            pixels_where_present=tuple((present * counts.sum(1, keepdims=True)).sum(0).tolist()),
            images=tuple(present.sum(0).tolist()),
        )


def scan(
    samples: Samples,
    num_classes: int,
    *,
    indices: Sequence[int] | None = None,
    workers: int = 0,
    on_sample: Callable[[], None] = lambda: None,
) -> Scan:
    """Read samples, unaugmented, and count what they hold.

    Args:
        samples: a split.
        num_classes: labels are 0 up to, not including, this, or `IGNORE_INDEX`.
        indices: which samples to read, in which order; all, where None.
        workers: processes that read them; 0 reads in this one.
        on_sample: called after each sample.
    """
    chosen = range(len(samples)) if indices is None else indices
    found = empty_scan(len(chosen), num_classes)
    defects = []
    rows = read_in_workers(_Reader(samples, num_classes), chosen, workers)
    for number, (size, pixels, boundary, defect) in enumerate(rows):
        found.sizes[number], found.pixels[number], found.boundary[number] = size, pixels, boundary
        defects.append(defect)
        on_sample()
    return evolve(found, defects=tuple(defects))


def empty_scan(length: int, num_classes: int) -> Scan:
    """Give a scan of so many samples of which nothing is known yet."""
    return Scan(
        sizes=np.zeros((length, 2), np.int64),
        pixels=np.zeros((length, num_classes + 1), np.int64),
        boundary=np.zeros(length, np.int64),
        defects=("",) * length,
    )


@frozen(eq=False)
class _Reader:
    """Reads and counts one sample."""

    samples: Samples
    num_classes: int

    def __call__(self, index: int) -> tuple[tuple[int, int], Integers, int, str]:
        try:
            sample = labelled(self.samples[index])
        except KdsegError as error:
            return (0, 0), np.zeros(self.num_classes + 1, np.int64), 0, str(error)
        mask = sample.mask
        assert mask is not None  # labelled
        height, width = mask.shape
        counts = np.bincount(mask.ravel(), minlength=IGNORE_INDEX + 1)
        outside = np.flatnonzero(counts[self.num_classes : IGNORE_INDEX])
        if outside.size:
            files = getattr(self.samples, "files", None)
            defect = (
                f"{sample.id if files is None else files[index][-1]}: holds the label {self.num_classes + outside[0]}; "
                f"labels go from 0 to {self.num_classes - 1}, and {IGNORE_INDEX} is ignored"
            )
            return (height, width), np.zeros(self.num_classes + 1, np.int64), 0, defect
        pixels = np.append(counts[: self.num_classes], counts[IGNORE_INDEX])
        return (height, width), pixels, _boundary(mask), ""


def _boundary(mask: npt.NDArray[np.uint8]) -> int:
    """Count labelled pixels beside another label."""
    edge = np.zeros(mask.shape, np.bool_)
    for one, other in ((np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = mask[one] != mask[other]
        differ &= (mask[one] != IGNORE_INDEX) & (mask[other] != IGNORE_INDEX)
        edge[one] |= differ
        edge[other] |= differ
    return int(np.count_nonzero(edge))
