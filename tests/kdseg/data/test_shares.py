from __future__ import annotations

import numpy as np
import pytest
from attrs import frozen

from kdseg.data.samples import IGNORE_INDEX, Sample
from kdseg.data.shares import count_classes
from kdseg.errors import KdsegError

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create .* worker processes:UserWarning"),  # on one core
]


@frozen
class Masks:
    """Two rows of labels for each sample."""

    masks: tuple[list[list[int]] | None, ...]

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, index: int) -> Sample:
        mask = self.masks[index]
        return Sample(
            image=np.zeros((2, 3, 3), np.uint8),
            mask=None if mask is None else np.array(mask, np.uint8),
            id=f"mask{index}",
        )


THREE = Masks(([[0, 0, 1], [255, 255, 255]], [[0, 0, 0], [0, 0, 0]], None, [[1, 1, 2], [1, 255, 0]]))


@pytest.mark.parametrize("workers", [0, 2])
def test_counts_by_hand(workers):
    shares = count_classes(THREE, 4, workers=workers)
    assert shares.pixels == (9, 4, 1, 0)
    assert shares.pixels_where_present == (3 + 6 + 5, 3 + 5, 5, 0)
    assert shares.images == (3, 2, 1, 0)


def test_counts_against_a_loop(scenes):
    samples = scenes(count=7, unlabelled=(2,))
    pixels, present, images = [0] * 5, [0] * 5, [0] * 5
    for index in range(7):
        if samples[index].mask is None:
            continue
        labels = [int(label) for label in samples[index].mask.ravel() if label != IGNORE_INDEX]
        for label in range(5):
            pixels[label] += labels.count(label)
            images[label] += label in labels
            present[label] += len(labels) if label in labels else 0
    shares = count_classes(samples, 5)
    assert (shares.pixels, shares.pixels_where_present, shares.images) == (
        tuple(pixels),
        tuple(present),
        tuple(images),
    )


@pytest.mark.parametrize("length", [1, 3, 9, 10, 11, 25, 1000])
def test_many_samples_are_read_evenly_spaced(length):
    class Read:
        def __init__(self) -> None:
            self.indices: list[int] = []

        def __len__(self) -> int:
            return length

        def __getitem__(self, index: int) -> Sample:
            self.indices.append(index)
            return Sample(image=np.zeros((1, 1, 3), np.uint8), mask=np.zeros((1, 1), np.uint8), id=str(index))

    samples = Read()
    shares = count_classes(samples, 1, limit=10)
    assert shares.images == (min(length, 10),)
    assert len(set(samples.indices)) == min(length, 10)
    gaps = np.diff([*samples.indices, length])
    assert gaps.max() - gaps.min() <= 1


def test_a_label_out_of_range_is_told_with_its_sample():
    with pytest.raises(KdsegError, match=r"mask3: its mask holds the label 2; labels go from 0 to 1"):
        count_classes(THREE, 2)
