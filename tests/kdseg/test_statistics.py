"""Against closed forms and, where it is installed, scipy."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdseg.statistics import incomplete_beta, t_cdf, t_quantile

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
