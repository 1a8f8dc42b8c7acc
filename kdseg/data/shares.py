"""How often each class occurs among the training labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from kdseg.components import ClassShares
from kdseg.data.labelled import labelled
from kdseg.data.samples import IGNORE_INDEX, Samples
from kdseg.data.workers import read_in_workers
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    import numpy.typing as npt

MOST_SAMPLES = 2000


def count_classes(samples: Samples, num_classes: int, *, limit: int = MOST_SAMPLES, workers: int = 0) -> ClassShares:
    """Count the labels of each class by one pass over the masks, unaugmented.

    Up to `limit` samples the counts are exact; of more, `limit` evenly spaced ones are read.

    Args:
        samples: the training split.
        num_classes: labels are 0 up to, not including, this, or `IGNORE_INDEX`.
        limit: how many samples to read at most.
        workers: loader processes that read them; 0 reads in this one.

    Raises:
        KdsegError: a sample is malformed, or holds a label out of range.
    """
    read = min(limit, len(samples))
    indices = [position * len(samples) // read for position in range(read)]
    pixels, pixels_where_present, images = np.zeros((3, num_classes), np.int64)
    for counts in read_in_workers(_Counter(samples, num_classes), indices, workers):
        pixels += counts
        pixels_where_present += np.where(counts > 0, counts.sum(), 0)
        images += counts > 0
    return ClassShares(
        pixels=tuple(pixels.tolist()),
        pixels_where_present=tuple(pixels_where_present.tolist()),
        images=tuple(images.tolist()),
    )


@frozen(eq=False)
class _Counter:
    """Counts the labels of one sample by class."""

    samples: Samples
    num_classes: int

    def __call__(self, index: int) -> npt.NDArray[np.int64]:
        sample = labelled(self.samples[index])
        assert sample.mask is not None  # labelled
        counts = np.bincount(sample.mask.ravel(), minlength=IGNORE_INDEX + 1)
        outside = np.flatnonzero(counts[self.num_classes : IGNORE_INDEX])
        if outside.size:
            raise KdsegError(
                f"{sample.id}: its mask holds the label {self.num_classes + outside[0]}; labels go from 0 to "
                f"{self.num_classes - 1}, and {IGNORE_INDEX} is ignored"
            )
        return counts[: self.num_classes]
