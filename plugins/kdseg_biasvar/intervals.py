"""Intervals of 95 %: over images, by bootstrap, and over trials, by jackknife."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from kdseg import t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg_biasvar.estimates import Array

CONFIDENCE = 0.95
_UPPER = (1 + CONFIDENCE) / 2


def drawn(tables: Sequence[Array], neighbours: int, resamples: int, seed: int = 0) -> list[Array]:
    """Draw images with replacement, and sum each table over those that were drawn.

    Args:
        tables: each I×…, numbers of I images; all are summed over the same draws.
        neighbours: consecutive images that are drawn as one.
        resamples: B.
        seed: of the draws.

    Returns:
        Of each table B×….
    """
    starts = np.arange(0, len(tables[0]), neighbours)
    weights = np.random.default_rng(seed).multinomial(len(starts), np.full(len(starts), 1 / len(starts)), resamples)
    return [np.tensordot(weights.astype(float), np.add.reduceat(table, starts, axis=0), 1) for table in tables]


def over_images(draws: Array, blocks: int) -> tuple[Array, Array]:
    """Give the interval of what was calculated from each draw.

    Percentiles, taken so far out that they fit the mean of few images as Student's t does: Hesterberg, 1411.5279,
    section 3.3 ("expanded percentile").

    Args:
        draws: B×…; nan where a draw says nothing.
        blocks: how many images, or blocks of them, were drawn from.

    Returns:
        Both ends; nan of fewer than two blocks, or where no draw says anything.
    """
    nothing = np.full(draws.shape[1:], math.nan)
    if blocks < 2:  # noqa: PLR2004 (nothing to draw)
        return nothing, nothing
    tail = NormalDist().cdf(-math.sqrt(blocks / (blocks - 1)) * t_quantile(_UPPER, blocks - 1))
    empty = np.isnan(draws).all(0)
    ends = np.nanquantile(np.where(empty, 0.0, draws), [tail, 1 - tail], axis=0)
    low, high = np.where(empty, math.nan, ends)
    return low, high


def over_trials(value: Array, left: Array, *, log: bool = False) -> tuple[Array, Array]:
    """Give the interval around a value by jackknife: Student's t with one degree of freedom fewer than samples.

    Source: Tukey's jackknife; Efron and Stein, Annals of Statistics 9(3), 1981.

    Args:
        value: …, from all samples.
        left: S×…, without each sample in turn.
        log: whether the logarithm is what is symmetric about its estimate, as for a variance, which cannot be below 0;
            where a value is not above 0, it is not taken.

    Returns:
        Both ends; nan of fewer than three samples.
    """
    value = np.asarray(value)
    if len(left) < 3:  # noqa: PLR2004 (two of them vary by one degree of freedom only)
        nothing = np.full(value.shape, math.nan)
        return nothing, nothing
    half = _half_width(left)
    if not log:
        return value - half, value + half
    positive = (value > 0) & (left > 0).all(0)
    logs = _half_width(np.log(np.where(positive, left, 1.0)))
    centre = np.where(positive, value, 1.0)
    factor = np.exp(np.minimum(logs, 700.0))  # exp(710) is infinite
    return np.where(positive, centre / factor, value - half), np.where(positive, centre * factor, value + half)


def correlation(first: Array, second: Array) -> Array:
    """Give the correlation of two numbers over what leaves out one sample at a time, S×… each; 0 where one is fixed.

    S is 0 where nothing is left out; then there is none.
    """
    if len(first) == 0:
        return np.zeros(first.shape[1:])
    ours, theirs = first - first.mean(0), second - second.mean(0)
    size = np.sqrt(np.square(ours).sum(0) * np.square(theirs).sum(0))
    found: Array = np.divide((ours * theirs).sum(0), size, out=np.zeros_like(size), where=size > 0)
    return found


def apart(first: tuple[Array, Array, Array], second: tuple[Array, Array, Array], bond: Array) -> tuple[Array, Array]:
    """Give the interval of the second number less the first from an interval of each.

    Each end takes of both intervals the arms that lead to it, so an interval that reaches further up than down, as that
    of a variance does, is not made even: Zou, Psychological Methods 12(4), 2007 (the method of variance estimates
    recovery). Where one arm has no interval, there is none.

    Args:
        first: a number, and both ends of its interval.
        second: likewise.
        bond: their correlation.
    """
    (one, one_low, one_high), (two, two_low, two_high) = first, second

    def reach(ours: Array, theirs: Array) -> Array:
        squares: Array = np.square(ours) + np.square(theirs) - 2 * bond * ours * theirs
        return np.sqrt(np.maximum(squares, 0.0))  # rounding, where the bond is 1

    difference = two - one
    return difference - reach(two - two_low, one_high - one), difference + reach(two_high - two, one - one_low)


def _half_width(left: Array) -> Array:
    count = len(left)
    variance = (count - 1) / count * np.square(left - left.mean(0)).sum(0)
    half: Array = t_quantile(_UPPER, count - 1) * np.sqrt(variance)
    return half
