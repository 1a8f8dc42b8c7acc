"""Against closed forms and, where it is installed, scipy."""

from __future__ import annotations

import math
from statistics import fmean, stdev

import pytest

from kdseg.estimates import detectable, difference, estimate
from kdseg.statistics import t_quantile


@pytest.mark.parametrize(("seeds", "too_small"), [(3, 0.06), (4, 0.03), (5, 0.015), (10, 0.002), (20, 0.001)])
def test_the_detectable_difference_is_nearly_that_of_the_noncentral_t(seeds, too_small):
    stats = pytest.importorskip("scipy.stats")
    df = seeds - 1
    power = 1 - stats.nct.cdf(t_quantile(0.975, df), df, detectable(1.0, df))
    exact = 1 - stats.nct.cdf(t_quantile(0.975, df), df, detectable(1.0, df) * (1 + too_small))
    assert power <= 0.8005
    assert exact >= 0.7995


def test_a_mean_with_its_interval():
    found = estimate([1.0, 2.0, 3.0])
    assert (found.mean, found.sd, found.n) == (2.0, 1.0, 3)
    assert found.low == pytest.approx(2 - 4.3027 / math.sqrt(3), abs=1e-4)
    assert found.high == pytest.approx(2 + 4.3027 / math.sqrt(3), abs=1e-4)


def test_one_value_has_no_spread():
    found = estimate([0.5])
    assert (found.mean, found.sd, found.low, found.high) == (0.5, None, None, None)


def test_pairs_by_seed_take_out_what_the_seed_does():
    baseline = {1: 0.1, 2: 0.5, 3: 0.9}
    found = difference({3: 0.92, 1: 0.11, 2: 0.53}, baseline)
    apart = [0.01, 0.03, 0.02]
    assert (found.paired, found.n) == (True, 3)
    assert found.mean == pytest.approx(fmean(apart))
    assert found.sd == pytest.approx(stdev(apart))
    assert found.high - found.low == pytest.approx(2 * 4.3027 * stdev(apart) / math.sqrt(3), abs=1e-5)
    assert found.detectable == pytest.approx((4.3027 + 1.0607) * stdev(apart) / math.sqrt(3), abs=1e-5)


def test_the_paired_interval_is_that_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    ours, theirs = [0.31, 0.28, 0.35, 0.30, 0.33], [0.27, 0.26, 0.30, 0.29, 0.28]
    found = difference(dict(enumerate(ours)), dict(enumerate(theirs)))
    wanted = stats.ttest_rel(ours, theirs).confidence_interval()
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))


def test_a_seed_that_one_arm_lacks_is_left_out():
    found = difference({1: 0.2, 2: 0.4, 4: 9.0}, {1: 0.1, 2: 0.2, 3: 5.0})
    assert (found.paired, found.n) == (True, 2)
    assert found.mean == pytest.approx(0.15)


def test_without_two_pairs_the_means_are_compared():
    stats = pytest.importorskip("scipy.stats")
    ours, theirs = {1: 0.31, 2: 0.28, 3: 0.35}, {3: 0.30, 4: 0.21, 5: 0.26, 6: 0.25}
    found = difference(ours, theirs)
    wanted = stats.ttest_ind([*ours.values()], [*theirs.values()], equal_var=False).confidence_interval()
    assert not found.paired
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))


def test_one_pair_has_a_difference_and_no_interval():
    found = difference({1: 0.3}, {1: 0.1, 2: 0.2})
    assert (found.mean, found.low, found.detectable) == (pytest.approx(0.2), None, None)
    assert difference({1: 0.3}, {2: 0.1}) is None


def test_two_means_without_any_spread_have_no_interval():
    found = difference({1: 0.3, 2: 0.3}, {3: 0.1, 4: 0.1})
    assert (found.mean, found.low, found.high, found.detectable) == (pytest.approx(0.2), None, None, None)


@pytest.mark.parametrize("further", [{}, {3: 0.7}])
def test_pairs_that_all_differ_alike_prove_nothing(further):
    baseline = {1: 0.1, 2: 0.6} | further
    ours = {seed: score + 0.03 for seed, score in baseline.items()}
    assert len({ours[seed] - baseline[seed] for seed in ours}) > 1  # but for rounding
    found = difference(ours, baseline)
    assert (found.paired, found.n, found.mean, found.sd) == (True, len(ours), pytest.approx(0.03), 0)
    assert (found.low, found.high, found.detectable) == (None, None, None)


def test_a_spread_that_is_small_but_no_rounding_is_one():
    found = difference({1: 0.5 + 1e-8, 2: 0.5}, {1: 0.5, 2: 0.5})
    assert found.low < 0 < found.high
    assert found.detectable > 0


def test_values_that_are_alike_have_no_interval():
    found = estimate([0.5, 0.5])
    assert (found.mean, found.sd, found.low, found.high) == (0.5, 0, None, None)
