"""Against closed forms and, where it is installed, scipy."""

from __future__ import annotations

import math
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdseg.engine.study.statistics import detectable, difference, estimate, incomplete_beta, t_cdf, t_quantile

T_975 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 9: 2.262, 19: 2.093, 29: 2.045, 120: 1.980}
"""As tables print it."""


@pytest.mark.parametrize("df", T_975)
def test_the_quantile_is_that_of_the_tables(df):
    assert t_quantile(0.975, df) == pytest.approx(T_975[df], abs=5e-4)


@given(st.floats(0.001, 0.999))
def test_one_and_two_degrees_of_freedom_have_closed_forms(p):
    assert t_quantile(p, 1) == pytest.approx(math.tan(math.pi * (p - 0.5)), rel=1e-9, abs=1e-12)
    assert t_quantile(p, 2) == pytest.approx((2 * p - 1) / math.sqrt(2 * p * (1 - p)), rel=1e-9, abs=1e-12)


@given(st.floats(1e-4, 1 - 1e-4), st.floats(1, 500))
def test_the_quantile_undoes_the_distribution(p, df):
    assert t_cdf(t_quantile(p, df), df) == pytest.approx(p, abs=1e-7)


def test_the_incomplete_beta_function_at_its_ends_and_as_a_polynomial():
    assert [incomplete_beta(2, 3, x) for x in (0, 1)] == [0, 1]
    for x in (0.1, 0.5, 0.9):
        assert incomplete_beta(1, 1, x) == pytest.approx(x)
        assert incomplete_beta(2, 2, x) == pytest.approx(x * x * (3 - 2 * x))


@pytest.mark.parametrize("df", [1, 2, 2.7, 4, 9, 99, 1000])
@pytest.mark.parametrize("p", [0.6, 0.8, 0.975, 0.9995])
def test_the_quantile_is_that_of_scipy(df, p):
    stats = pytest.importorskip("scipy.stats")
    assert t_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=1e-9)


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
