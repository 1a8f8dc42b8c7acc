"""What a scan counts, against counting by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kdseg.data.samples import IGNORE_INDEX, Sample
from kdseg.data.scan import scan

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
    found = scan(THREE, 4, workers=workers)
    assert found.pixels.tolist() == [[2, 1, 0, 0, 3], [6, 0, 0, 0, 0], [0, 0, 0, 0, 6], [1, 3, 1, 0, 1]]
    assert found.sizes.tolist() == [[2, 3]] * 4
    assert found.boundary.tolist() == [2, 0, 0, 3]
    assert found.pairs.tolist() == [[3, 2, 1, 0], [2, 2, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
    assert not any(found.defects)
    shares = found.shares()
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
    shares = scan(samples, 5).shares()
    assert (shares.pixels, shares.pixels_where_present, shares.images) == (
        tuple(pixels),
        tuple(present),
        tuple(images),
    )


@given(arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.sampled_from([0, 1, 255])))
def test_the_boundary_against_a_loop(mask):
    height, width = mask.shape
    beside = 0
    for row in range(height):
        for column in range(width):
            around = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
            labels = {int(mask[y, x]) for y, x in around if 0 <= y < height and 0 <= x < width} - {IGNORE_INDEX}
            own = int(mask[row, column])
            beside += own != IGNORE_INDEX and bool(labels - {own})
    found = scan(Arrays((mask,)), 2)
    assert found.boundary.tolist() == [beside]


@frozen(eq=False)
class Arrays:
    masks: tuple[np.ndarray, ...]

    def __len__(self):
        return len(self.masks)

    def __getitem__(self, index):
        mask = self.masks[index]
        return Sample(image=np.zeros((*mask.shape, 3), np.uint8), mask=mask, id=str(index))


def test_chosen_samples_come_in_their_order_and_each_is_told():
    told = []
    found = scan(THREE, 4, indices=[3, 0], on_sample=lambda: told.append(1))
    assert found.labelled_pixels.tolist() == [[1, 3, 1, 0], [2, 1, 0, 0]]
    assert len(told) == len(found) == 2


def test_a_sample_with_a_defect_is_told_and_counts_nothing():
    found = scan(THREE, 2)
    assert found.defects == ("", "", "", "mask3: holds the label 2; labels go from 0 to 1, and 255 is ignored")
    assert found.labelled_pixels.tolist() == [[2, 1], [6, 0], [0, 0], [0, 0]]


def test_a_defect_of_a_file_names_the_file():
    class Files(Masks):
        files = ((Path("a.png"), Path("labels/a.png")),) * 4

    assert "labels/a.png: holds the label 2" in scan(Files(THREE.masks), 2).defects[3]
