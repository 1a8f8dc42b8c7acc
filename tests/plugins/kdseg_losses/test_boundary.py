from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg_losses.boundary import BoundaryKLLoss, boundary_share

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())


def at_boundary(labels, radius):
    """Which pixels of one image have two classes or more in the window of 2 r + 1 around them."""
    found = np.zeros(labels.shape)
    for row, column in np.argwhere(labels != IGNORE_INDEX):
        window = labels[max(row - radius, 0) : row + radius + 1, max(column - radius, 0) : column + radius + 1]
        found[row, column] = len(set(window.ravel().tolist()) - {IGNORE_INDEX}) > 1
    return found


def slow_share(labels, radius):
    """The share of each pixel near a boundary: drawn so finely that the radius is a whole number, and counted."""
    times = radius.denominator
    fine = at_boundary(labels.repeat(times, 0).repeat(times, 1), radius.numerator)
    return fine.reshape(labels.shape[0], times, labels.shape[1], times).mean((1, 3))


@st.composite
def drawn_labels(draw):
    numbers = np.random.default_rng(draw(st.integers(0, 1000)))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    labels = numbers.integers(0, draw(st.integers(1, 150)), (2, height, width)).astype(np.uint8)
    labels[:, : draw(st.integers(0, height))] = draw(st.integers(0, 149))  # a region
    labels[numbers.random(labels.shape) < draw(st.sampled_from([0.0, 0.3, 0.9]))] = IGNORE_INDEX
    return labels


@settings(max_examples=60)
@given(drawn_labels(), st.integers(0, 4))
def test_at_a_whole_radius_a_pixel_is_at_a_boundary_or_not(labels, radius):
    share = boundary_share(torch.from_numpy(labels), radius)
    assert share.tolist() == [at_boundary(image, radius).tolist() for image in labels]


@settings(max_examples=40)
@given(drawn_labels(), st.fractions(0, 3, max_denominator=5))
def test_between_whole_radii_it_is_the_share_of_the_pixel_s_area(labels, radius):
    share = boundary_share(torch.from_numpy(labels), float(radius)).numpy()
    expected = [slow_share(image, Fraction(radius)) for image in labels]
    assert share == pytest.approx(np.stack(expected), abs=2e-6)  # the radius is rounded to a millionth of a pixel


@settings(max_examples=30)
@given(drawn_labels(), st.floats(0.05, 4))
def test_the_same_labels_drawn_finer_have_the_same_shares(labels, radius):
    target = torch.from_numpy(labels)
    finer = boundary_share(target.repeat_interleave(2, 1).repeat_interleave(2, 2), 2 * radius)
    coarse = torch.nn.functional.avg_pool2d(finer.unsqueeze(1), 2).squeeze(1)
    assert torch.allclose(coarse, boundary_share(target, radius), atol=4e-6)


def test_an_ignored_pixel_makes_no_edge():
    target = torch.tensor([[[3, 3, IGNORE_INDEX, 3, 3, 5]]], dtype=torch.uint8)
    assert boundary_share(target, 1).tolist() == [[[0, 0, 0, 0, 1, 1]]]
    assert boundary_share(target, 2).tolist() == [[[0, 0, 0, 1, 1, 1]]]


@settings(max_examples=30)
@given(drawn_labels(), st.integers(0, 1000), st.integers(2, 20), st.sampled_from([0.0, 0.5, 5.0]), st.booleans())
def test_it_is_the_formula(labels, seed, classes, weight, standardise):
    numbers = np.random.default_rng(seed)
    learner, source = numbers.normal(0, 2, (2, 2, classes, *labels.shape[1:]))
    height, temperature = labels.shape[1], 2.0
    module = BoundaryKLLoss(temperature, 1 / height, weight, standardise=standardise)  # a radius of one pixel
    expected = count = 0.0
    for image in range(2):
        weights = 1 + (weight - 1) * at_boundary(labels[image], 1)
        for row, column in np.argwhere(labels[image] != IGNORE_INDEX):
            pair = [logits[image, :, row, column] for logits in (source, learner)]
            if standardise:
                pair = [(logits - logits.mean()) / logits.std() for logits in pair]
            p, q = (np.exp(logits / temperature) / np.exp(logits / temperature).sum() for logits in pair)
            expected += weights[row, column] * temperature**2 * (p * np.log(p / q)).sum()
            count += weights[row, column]
    target = torch.from_numpy(labels)
    predictions = [Prediction(logits=torch.from_numpy(logits)) for logits in (learner, source)]
    assert module(*predictions, target, CALL).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert module.count(target).item() == pytest.approx(count, rel=1e-12)
