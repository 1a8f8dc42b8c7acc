"""Intra-class feature variation against the paper's formula, cell by cell."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdseg.data.samples import IGNORE_INDEX
from kdseg_losses.class_variation import IntraClassVariationLoss


def classes_of(mask, size):
    """The most frequent label of each cell's pixels, the lowest of several."""
    out = np.zeros(size, dtype=int)
    edges = [[(i * n // m, -(-(i + 1) * n // m)) for i in range(m)] for m, n in zip(size, mask.shape, strict=True)]
    for i, j in np.ndindex(*size):
        (top, bottom), (left, right) = edges[0][i], edges[1][j]
        labels = [label for label in mask[top:bottom, left:right].ravel() if label != IGNORE_INDEX]
        out[i, j] = max(sorted(set(labels)), key=labels.count, default=0)
    return out


def likeness(features, classes, valid):
    """The cosine of each valid cell's features and the mean of its class."""
    out = {}
    for cell in zip(*np.nonzero(valid), strict=True):
        members = [features[:, i, j] for i, j in zip(*np.nonzero(valid & (classes == classes[cell])), strict=True)]
        mean, own = np.mean(members, axis=0), features[:, *cell]
        out[cell] = own @ mean / np.sqrt((own @ own) * (mean @ mean))
    return out


@given(st.data())
def test_it_is_the_difference_of_the_cosines(taps, data):
    problem = data.draw(taps.problems())
    result = taps.run(taps.make(IntraClassVariationLoss, problem), problem)
    mine, theirs, valid = taps.aligned(problem)
    total = 0.0
    for one, other, mask, counted in zip(mine, theirs, problem.target, valid, strict=True):
        classes = classes_of(mask, counted.shape)
        maps = [likeness(features, classes, counted) for features in (one, other)]
        total += sum((maps[0][cell] - maps[1][cell]) ** 2 for cell in maps[0])
    assert result.value / max(result.count, 1) == pytest.approx(total / max(valid.sum(), 1), rel=1e-8, abs=1e-14)


def variation(taps, learner, source, target):
    problem = SimpleNamespace(learner=learner, source=source, target=target, classes=4)
    return taps.run(taps.make(IntraClassVariationLoss, problem), problem)


def test_half_the_pixels_ignored_leave_the_mean_as_it_is(taps):
    numbers = np.random.default_rng(0)
    learner, source = numbers.normal(size=(1, 3, 4, 5)), numbers.normal(size=(1, 7, 4, 5))
    target = numbers.integers(0, 4, (1, 4, 5))
    plain = variation(taps, learner, source, target)
    wide = [np.concatenate([tap, np.full_like(tap, np.nan)], axis=3) for tap in (learner, source)]
    half = variation(taps, *wide, np.concatenate([target, np.full_like(target, IGNORE_INDEX)], axis=2))
    assert half.count == plain.count
    assert half.value == pytest.approx(plain.value, rel=1e-12)


def test_repeated_cells_leave_the_mean_as_it_is(taps):
    numbers = np.random.default_rng(0)
    parts = [numbers.normal(size=(2, 3, 4, 5)), numbers.normal(size=(2, 7, 4, 5)), numbers.integers(0, 4, (2, 4, 5))]
    parts[2] = parts[2].repeat(3, axis=-1).repeat(3, axis=-2)
    plain = variation(taps, *parts)
    repeated = variation(taps, *(part.repeat(2, axis=-1).repeat(2, axis=-2) for part in parts))
    assert repeated.value / repeated.count == pytest.approx(plain.value / plain.count, rel=1e-12)


def test_a_class_of_one_cell_is_its_own_mean(taps):
    numbers = np.random.default_rng(0)
    result = variation(
        taps, numbers.normal(size=(1, 3, 2, 2)), numbers.normal(size=(1, 5, 2, 2)), np.arange(4).reshape(1, 2, 2)
    )
    assert result.value == pytest.approx(0, abs=1e-14)


def test_features_of_zeros_are_like_nothing(taps):
    """The learner's cosines are 0, the source's 1 and -1 / 3 about a mean of (1, 0) / 3."""
    source = np.array([[[[1.0, 1.0, -1.0]], [[0.0, 0.0, 0.0]]]])
    result = variation(taps, np.zeros((1, 4, 1, 3)), source, np.zeros((1, 1, 3), int))
    assert result.value == pytest.approx(3)
    assert (result.gradient == 0).all()
