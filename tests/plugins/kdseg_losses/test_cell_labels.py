"""The class of a cell, against counting its pixels one by one."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.data.samples import IGNORE_INDEX
from kdseg_losses.cell_labels import cell_labels


def counted(target, size):
    """Count the labels of each cell of an image, over all pixels that it touches."""
    found = np.full(size, IGNORE_INDEX)
    for y in range(size[0]):
        for x in range(size[1]):
            rows, columns = (
                slice(place * pixels // cells, math.ceil((place + 1) * pixels / cells))
                for place, pixels, cells in zip((y, x), target.shape, size, strict=True)
            )
            pixels = target[rows, columns].ravel()
            labels = [int(label) for label in pixels if label != IGNORE_INDEX]
            if 2 * len(labels) >= len(pixels):
                found[y, x] = max(sorted(set(labels)), key=labels.count)  # the first, and lowest, of the most frequent
    return found


@st.composite
def problems(draw):
    numbers = np.random.default_rng(draw(st.integers(0, 1000)))
    classes = draw(st.sampled_from([2, 3, 19, 150]))
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    size = tuple(draw(st.integers(1, pixels)) for pixels in shape)
    target = numbers.integers(0, classes, (2, *shape))
    target[numbers.random(target.shape) < draw(st.sampled_from([0.0, 0.4, 1.0]))] = IGNORE_INDEX
    return target.astype(np.uint8), size, classes


@settings(deadline=None)
@given(problems())
def test_the_most_frequent_label_counts(problem):
    target, size, classes = problem
    found = cell_labels(torch.as_tensor(target), size, classes)
    assert found.dtype == torch.int64
    assert np.array_equal(found.numpy(), np.stack([counted(image, size) for image in target]))


@settings(deadline=None, max_examples=30)
@given(problems())
def test_repeated_pixels_change_nothing(problem):
    target, size, classes = problem
    twice = target.repeat(2, 1).repeat(2, 2)
    found, again = (cell_labels(torch.as_tensor(labels), size, classes) for labels in (target, twice))
    if all(pixels % cells == 0 for pixels, cells in zip(target.shape[1:], size, strict=True)):
        assert torch.equal(found, again)
