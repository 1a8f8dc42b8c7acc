"""How long a network will take, told from counts by a fit to some that were measured."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_RIDGE = 1e-3
"""Holds a coefficient near 0 that the measured networks say nothing of."""


@frozen(kw_only=True)
class Work:
    """What a network does for an image."""

    macs: int
    activation_bytes: int
    layers: int
    grouped: float
    """The share of its multiplications in layers whose channels are apart, which fill no processor."""


@frozen
class LatencyModel:
    """The logarithm of the milliseconds as a sum of the logarithms of what a network does."""

    weights: tuple[float, ...]
    error: float
    """The median, over the measured networks, of how far the fit to the others is off, as a share; nan of one."""

    @classmethod
    def fit(cls, works: Sequence[Work], milliseconds: Sequence[float]) -> LatencyModel:
        """Fit to networks that were measured, by least squares; its error is found by leaving out one after another."""
        if len(works) == 1:  # nothing says how latency goes with work
            return cls((math.log(milliseconds[0]), 0.0, 0.0, 0.0, 0.0), math.nan)
        features = np.stack([_features(work) for work in works])
        logs = np.log(milliseconds)
        misses = []
        for left_out in range(len(works)):
            kept = np.arange(len(works)) != left_out
            weights = _solve(features[kept], logs[kept])
            misses.append(abs(math.expm1(float(features[left_out] @ weights) - logs[left_out])))
        return cls(tuple(_solve(features, logs).tolist()), float(np.median(misses)))

    def milliseconds(self, work: Work) -> float:
        """Tell how long a network will take."""
        return math.exp(float(_features(work) @ np.array(self.weights)))


def _features(work: Work) -> npt.NDArray[np.float64]:
    return np.array(
        [1.0, math.log(work.macs), math.log(work.activation_bytes), math.log(work.layers), work.grouped],
        dtype=np.float64,
    )


def _solve(features: npt.NDArray[np.float64], logs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Give the weights of least squares; all but the first are held near 0."""
    centre, level = features.mean(0), logs.mean()
    centre[0] = 0.0
    moved = features - centre
    ridge = np.eye(features.shape[1]) * _RIDGE * len(logs)
    ridge[0, 0] = 0.0
    weights = np.linalg.solve(moved.T @ moved + ridge, moved.T @ (logs - level))
    weights[0] += level - float(centre @ weights)
    return np.asarray(weights, np.float64)
