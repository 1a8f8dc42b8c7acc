"""Distances between features against the papers' formulas, cell by cell."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdseg_losses.feature_distances import AttentionTransferLoss, FitNetLoss, PearsonLoss


@given(st.data())
def test_fitnet_is_half_the_squared_distance_a_channel(taps, data):
    problem = data.draw(taps.problems())
    module = taps.make(FitNetLoss, problem)
    result = taps.run(module, problem)
    mine, theirs, valid = taps.aligned(problem)
    mine, total = taps.projected(module, mine, valid), 0.0
    for image, i, j in zip(*np.nonzero(valid), strict=True):
        total += 0.5 * np.mean((mine[image, :, i, j] - theirs[image, :, i, j]) ** 2)
    assert result.value / max(result.count, 1) == pytest.approx(total / max(valid.sum(), 1), rel=1e-9)


@given(st.data())
def test_attention_transfer_is_the_distance_of_normalised_maps(taps, data):
    problem = data.draw(taps.problems())
    result = taps.run(taps.make(AttentionTransferLoss, problem), problem)
    mine, theirs, valid = taps.aligned(problem)
    total = 0.0
    for one, other, counted in zip(mine, theirs, valid, strict=True):
        if not counted.any():
            continue
        maps = [sum(channel[counted] ** 2 for channel in features) for features in (one, other)]
        maps = [each / np.sqrt(np.sum(each**2)) for each in maps]
        total += np.sum((maps[0] - maps[1]) ** 2)
    assert result.value == pytest.approx(total, rel=1e-9, abs=1e-14)
    assert result.count == valid.any(axis=(1, 2)).sum()


def attention(taps, learner, source):
    learner, source = (np.asarray(tap, dtype=float)[None, None] for tap in (learner, source))
    problem = SimpleNamespace(learner=learner, source=source, target=np.zeros((1, *learner.shape[2:]), int), classes=2)
    return taps.run(taps.make(AttentionTransferLoss, problem), problem)


def test_attention_in_different_places_is_2_apart(taps):
    assert attention(taps, [[3.0, 0.0]], [[0.0, -5.0]]).value == pytest.approx(2)
    assert attention(taps, [[3.0, 4.0]], [[0.0, 1.0]]).value == pytest.approx(2 - 2 * 16 / np.hypot(9, 16))


@pytest.mark.parametrize("source", [[[1.0, 2.0]], [[0.0, 0.0]]])
def test_a_learner_without_attention_has_a_loss_but_no_gradient(taps, source):
    result = attention(taps, [[0.0, 0.0]], source)
    assert result.value == (1 if np.any(source) else 0)
    assert (result.gradient == 0).all()


@pytest.mark.parametrize("scale", [1e-100, 1e-30, 1e30, 1e100])
def test_attention_does_not_depend_on_the_size_of_features(taps, scale):
    one, other = np.array([[1.0, 2.0, 3.0]]), np.array([[2.0, 1.0, 0.0]])
    plain, scaled = attention(taps, one, other), attention(taps, scale * one, other)
    assert scaled.value == pytest.approx(plain.value, rel=1e-12)
    np.testing.assert_allclose(scaled.gradient * scale, plain.gradient, rtol=1e-9)


def test_attention_does_not_shrink_as_cells_grow_in_number(taps):
    numbers = np.random.default_rng(0)
    maps = numbers.normal(size=(2, 3, 6))
    repeated = maps.repeat(2, axis=1).repeat(2, axis=2)
    assert attention(taps, *repeated).value == pytest.approx(attention(taps, *maps).value, rel=1e-12)


@given(st.data())
def test_pkd_is_1_minus_the_correlation_of_each_channel(taps, data):
    problem = data.draw(taps.problems(smallest=2))
    module = taps.make(PearsonLoss, problem)
    result = taps.run(module, problem)
    mine, theirs, valid = taps.aligned(problem)
    if valid.sum() < 2:
        return  # one cell has no correlation
    mine = np.moveaxis(taps.projected(module, mine, valid), 1, 0)[:, valid]
    theirs = np.moveaxis(theirs, 1, 0)[:, valid]
    if np.ptp(theirs, axis=1).min() < 1e-6 * np.abs(theirs).max():
        return  # one cell of the source, brought to many
    correlations = [np.corrcoef(one, other)[0, 1] for one, other in zip(mine, theirs, strict=True)]
    assert result.value == pytest.approx(1 - np.mean(correlations), rel=1e-6)


def pearson(taps, learner, source):
    learner, source = (np.asarray(tap, dtype=float)[None, :, None] for tap in (learner, source))
    problem = SimpleNamespace(learner=learner, source=source, target=np.zeros((1, *learner.shape[2:]), int), classes=2)
    return taps.run(taps.make(PearsonLoss, problem), problem)


def test_pkd_knows_neither_scale_nor_offset(taps):
    one = np.array([[1.0, 5.0, 2.0, 8.0]])
    assert pearson(taps, 3e-8 * one + 5e-8, one).value == pytest.approx(0, abs=1e-12)
    assert pearson(taps, -1e9 * one, one).value == pytest.approx(2)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e-9, 12345.678])
def test_a_constant_channel_is_0_when_standardised(taps, constant):
    varying, flat = list(range(37)), [constant] * 37  # so many that a mean of them is rounded
    for learner, source, value in (
        ([varying, flat], [varying, varying], 1 / 4),  # half for one of two channels
        ([varying, varying], [varying, flat], 1 / 4),
        ([varying, flat], [varying, flat], 0),
        ([flat], [flat], 0),
    ):
        result = pearson(taps, learner, source)
        assert result.value == pytest.approx(value, rel=1e-12)
        assert np.isfinite(result.gradient).all()
        assert np.abs(result.gradient).max() < 1
