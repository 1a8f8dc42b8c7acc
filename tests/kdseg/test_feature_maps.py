"""What features hold, against NumPy's SVD and sums written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kdseg.feature_maps import (
    as_array,
    attention,
    dead_channels,
    lively_channels,
    principal_components,
    resized,
)

SHAPES = hnp.array_shapes(min_dims=4, max_dims=4, max_side=5)
VALUES = st.floats(-1e3, 1e3, width=32)
FEATURES = hnp.arrays(np.float64, SHAPES, elements=VALUES)
LOST = hnp.arrays(np.float64, SHAPES, elements=VALUES | st.sampled_from([np.nan, np.inf, -np.inf]))


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("shape", [(1, 3, 8, 9), (2, 6, 4, 5), (1, 40, 2, 3)])  # the last has fewer cells than channels
def test_principal_components_are_those_of_the_svd(shape):
    features = drawn(*shape) * np.arange(1, shape[1] + 1)[:, None, None]
    found = principal_components(features, 3)
    cells = np.moveaxis(features, 1, 3).reshape(-1, shape[1])
    left, sizes, right = np.linalg.svd(cells - cells.mean(0), full_matrices=False)
    np.testing.assert_allclose(found.shares, (sizes**2 / (sizes**2).sum())[:3], rtol=1e-9)
    for number in range(3):
        sign = np.sign(right[number][np.abs(right[number]).argmax()])
        wanted = (sign * left[:, number] * sizes[number]).reshape(shape[0], *shape[2:])
        np.testing.assert_allclose(found.maps[:, number], wanted, atol=1e-8 * sizes[0])


def test_their_signs_stay_when_the_network_moves_a_little():
    features = drawn(1, 6, 8, 8) * np.array([9, 5, 3, 1, 1, 1])[:, None, None]
    before = principal_components(features, 3).maps
    for seed in range(20):
        after = principal_components(features + 0.05 * drawn(*features.shape, seed=seed), 3).maps
        assert (np.einsum("nkhw,nkhw->k", before, after) > 0).all()
    flipped = principal_components(np.flip(features, 3), 3).maps  # a mirrored image gives mirrored maps
    np.testing.assert_allclose(np.flip(flipped, 3), before, atol=1e-9)


@given(LOST, st.integers(1, 4))
def test_components_of_anything_are_numbers_or_nan_where_cells_are_lost(features, count):
    found = principal_components(features, count)
    count = min(count, features.shape[1])
    assert found.maps.shape == (features.shape[0], count, *features.shape[2:])
    assert found.shares.shape == (count,)
    lost = ~np.isfinite(features).all(1)
    assert (np.isnan(found.maps).all(1) == lost).all()
    assert np.isfinite(found.maps[~np.isnan(found.maps)]).all()
    assert (found.shares >= 0).all()
    assert found.shares.sum() <= 1 + 1e-6


def test_constant_features_have_no_components():
    found = principal_components(np.full((1, 3, 2, 2), 7.0), 3)
    assert (found.maps == 0).all()
    assert (found.shares == 0).all()


def test_lost_cells_do_not_change_the_others():
    features = drawn(1, 4, 6, 6)
    less = features.copy()
    less[0, 2, 0] = np.nan
    alone = principal_components(features[:, :, 1:], 2)
    found = principal_components(less, 2)
    np.testing.assert_allclose(found.maps[:, :, 1:], alone.maps, atol=1e-9)


@given(FEATURES)
def test_attention_is_what_the_loop_gives(features):
    found = attention(features)
    for image, found_of in zip(features, found, strict=True):
        sums = np.zeros(image.shape[1:])
        for channel in image:
            sums += abs(channel)
        length = np.sqrt((sums**2).sum())
        cells = sums.size
        wanted = sums / length * np.sqrt(cells) if length > 0 else sums  # as Zagoruyko and Komodakis, but for the cells
        np.testing.assert_allclose(found_of, wanted, rtol=1e-9, atol=1e-12)


def test_attention_does_not_depend_on_channels_or_scale():
    features = drawn(2, 3, 4, 5)
    doubled = np.concatenate([features, features], axis=1) * 17
    np.testing.assert_allclose(attention(doubled), attention(features), rtol=1e-12)


def test_attention_is_nan_where_a_cell_is_lost_and_as_before_elsewhere():
    features = drawn(1, 3, 4, 4)
    lost = features.copy()
    lost[0, 1, 0, 0] = np.inf
    found = attention(lost)
    assert np.isnan(found[0, 0, 0])
    ratio = (found / attention(features))[~np.isnan(found)]
    np.testing.assert_allclose(ratio, ratio[0])


@given(LOST, st.integers(1, 6))
def test_lively_channels_are_those_of_the_greatest_variance(features, count):
    chosen = lively_channels(features, count)
    assert len(set(chosen)) == min(count, features.shape[1])
    variances = [
        float(features[:, one].var()) if np.isfinite(features[:, one]).all() else -1.0
        for one in range(features.shape[1])
    ]
    assert [variances[one] for one in chosen] == pytest.approx(sorted(variances, reverse=True)[: len(chosen)], abs=1e-6)


def test_dead_channels_are_found_where_they_were_planted():
    features = drawn(2, 6, 4, 4)
    features[:, 1] = 0
    features[:, 4] = -2.5
    features[0, 5] = 0  # of the first image alone
    assert dead_channels(features) == (1, 4)
    assert dead_channels(features[:1]) == (1, 4, 5)


def test_of_a_single_cell_only_zeros_are_dead():
    assert dead_channels(np.array([0.0, 3.0, 0.0]).reshape(1, 3, 1, 1)) == (0, 2)


def test_a_map_of_the_same_size_stays_and_a_smaller_one_has_the_means():
    maps = drawn(2, 4, 6)
    assert resized(maps, (4, 6)) is maps
    halved = maps.reshape(2, 2, 2, 3, 2).mean((2, 4))
    np.testing.assert_allclose(resized(maps, (2, 3)), halved, atol=1e-12)


def test_a_tensor_of_any_float_type_becomes_an_array():
    values = torch.tensor([[[[1.5, float("nan")]]]], dtype=torch.bfloat16, requires_grad=True)
    np.testing.assert_array_equal(as_array(values), [[[[1.5, np.nan]]]])
