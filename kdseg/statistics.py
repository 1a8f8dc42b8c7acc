"""Student's t distribution, for intervals of few values; no library that kdseg requires has it."""

from __future__ import annotations

import math
from functools import lru_cache

_TINY = 1e-300


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Give the regularised incomplete beta function I_x(a, b), by its continued fraction.

    Source: Lentz's method on DLMF 8.17.22 (https://dlmf.nist.gov/8.17#v).
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # the fraction converges quickly below this alone
        return 1 - incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    c, d = 1.0, 1 / _away_from_0(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 10_000):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away_from_0(1 + numerator * d)
            c = _away_from_0(1 + numerator / c)
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:  # noqa: PLR2004 (rounding)
            break
    return front * fraction / a


def _away_from_0(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def t_cdf(t: float, df: float) -> float:
    """Give the chance that Student's t with `df` degrees of freedom is at most `t`."""
    tail = incomplete_beta(df / 2, 0.5, df / (df + t * t)) / 2
    return 1 - tail if t > 0 else tail


@lru_cache(maxsize=1024)
def t_quantile(p: float, df: float) -> float:
    """Give the value that Student's t with `df` degrees of freedom stays below with the chance `p`, 0 < p < 1."""
    if p < 0.5:  # noqa: PLR2004 (it is symmetric)
        return -t_quantile(1 - p, df)
    low, high = 0.0, 1.0
    while t_cdf(high, df) < p:
        low, high = high, 2 * high
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if t_cdf(middle, df) < p else (low, middle)
    return high
