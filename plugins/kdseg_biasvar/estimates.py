"""From sums over pixels to errors, biases and variances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from kdseg_biasvar.quantities import LEFT, QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Mapping

Array = npt.NDArray[np.float64]
Correction = Literal["scaled", "jackknife", "none"]


def columns(
    sums: Array, pixels: Array, samples: int, seeds: int, correction: Correction, *, reference: bool
) -> dict[str, Array]:
    """Give the means over pixels, by name; nan where no pixel was counted.

    With W the variance between seeds of one sample and B that between the samples' centres, each over its number less
    one, the data's variance is B - W/R, and the whole is that and W: the analysis of variance of R seeds in each of S
    samples. Of the Brier score all three are unbiased. Of the negative log-likelihood no estimator is; the same
    factors, or a jackknife over the samples, are right to leading order in the trials' spread, and without either, data
    and seeds add up to the spread of the trials as it is.

    Args:
        sums: …×Q, of `QUANTITIES`.
        pixels: …, how many they are over.
        samples: S, 2 or more.
        seeds: R, of each sample.
        correction: of the negative log-likelihood's variance.
        reference: whether there is one.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        means = dict(zip(QUANTITIES, np.moveaxis(sums / pixels[..., None], -1, 0), strict=True))
    of_kl = _kl_variances(means, samples, seeds, correction)
    of_brier = _scaled(means["brier_within"], means["brier_between"], samples, seeds)
    found: dict[str, Array] = {}
    for name, (whole, data, seed) in (("nll", of_kl), ("brier", of_brier)):
        found |= {name: means[name], f"{name}_bias": means[name] - whole, f"{name}_variance": whole}
        if seeds > 1:
            found |= {f"{name}_variance_data": data, f"{name}_variance_seed": seed}
    found |= {
        "error": means["error"],
        "error_bias": means["error_bias"],
        "error_variance": means["error_unbiased"] - means["error_biased"],
        "error_variance_unbiased": means["error_unbiased"],
        "error_variance_biased": means["error_biased"],
    }
    if reference:
        found |= {
            "reference_nll": means["reference_nll"],
            "reference_noise": means["reference_noise"],
            "reference_nll_bias": means["reference_nll"] - means["reference_noise"] - of_kl[0],
            "reference_brier": means["reference_brier"],
            "reference_brier_bias": means["reference_brier"] - of_brier[0],
        }
    return found


def _kl_variances(
    means: Mapping[str, Array], samples: int, seeds: int, correction: Correction
) -> tuple[Array, Array, Array]:
    within, between = means["kl_within"], means["kl_between"]
    if correction == "none":
        return within + between, between, within
    whole, data, seed = _scaled(within, between, samples, seeds)
    if correction == "scaled":
        return whole, data, seed
    whole = samples * (within + between) - (samples - 1) * means[LEFT]
    return whole, whole - seed, seed


def _scaled(within: Array, between: Array, samples: int, seeds: int) -> tuple[Array, Array, Array]:
    """Give the whole variance, that of data and that of seeds."""
    seed = within * seeds / (seeds - 1) if seeds > 1 else np.zeros_like(within)
    data = between * samples / (samples - 1) - seed / seeds
    return data + seed, data, seed


def mean_iou(confusions: npt.NDArray[np.int64]) -> Array:
    """Give the mean IoU of each of N×C×C matrices, over the classes that occur in truth or prediction; nan of none."""
    hits = np.diagonal(confusions, axis1=1, axis2=2)
    union = confusions.sum(1) + confusions.sum(2) - hits
    there = union > 0
    shares = np.where(there, hits / np.maximum(union, 1), 0.0)
    with np.errstate(invalid="ignore"):
        mean: Array = shares.sum(1) / there.sum(1)
    return mean
