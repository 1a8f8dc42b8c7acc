"""From sums to findings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from attrs import frozen
from torch.special import entr

from kdseg_teaching.sums import BINS, GRID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from kdseg_teaching.sums import Sums

Table = dict[str, dict[str, float]]


def scalars_of(sums: Sums) -> dict[str, float]:
    """Give the numbers on all pixels; nan where nothing was counted."""
    sums = sums.precise()
    pixels = sums.pixels.sum()
    nll, brier = (sums.errors.sum(0) / pixels).tolist()
    best = best_temperature(sums.grid / sums.sampled)
    return {
        "pixels": float(pixels),
        "accuracy": float(sums.pixels[:, 1].sum() / pixels),
        "nll": nll,
        "brier": brier,
        "ece": float(calibration_error(sums.top, sums.top_confidence)),
        "class_wise_ece": float(_class_errors(sums).mean()),
        "best_temperature": best.value,
        "best_temperature_at_border": float(best.at_border),
        "best_temperature_nll": best.nll,
        "sampled_pixels": float(sums.sampled),
        "rank_agreement": float(sums.agreement.sum() / sums.agreeing.sum()),
    }


def tables_of(sums: Sums, classes: Sequence[str], temperatures: Sequence[float]) -> dict[str, Table]:
    """Give the tables: by temperature, by class, by class and temperature, and by bin of confidence."""
    sums = sums.precise()
    names = [f"T={temperature:g}" for temperature in temperatures]
    information, others_entropy = _non_target(sums)
    entropy = sums.entropy.sum((2, 3)) / sums.pixels.sum((1, 2)) / math.log(len(classes))
    by_class = {
        "class_entropy": entropy,
        "class_non_target_entropy": others_entropy,
        "class_non_target_information": information,
    }
    return {
        "temperature": _by_temperature(sums, names, information, others_entropy),
        "class": _by_class(sums, classes),
        **{
            table: {
                label: dict(zip(names, column.tolist(), strict=True))
                for label, column in zip(classes, values.T, strict=True)
            }
            for table, values in by_class.items()
        },
        "reliability": _by_bin(sums),
    }


def _by_temperature(sums: Sums, names: Sequence[str], information: Tensor, others_entropy: Tensor) -> Table:
    """Give the entropies of all pixels and of parts of them, and the means over pixels of what classes tell."""
    most = math.log(sums.pixels.shape[0])
    parts = {
        "entropy": sums.entropy.sum((1, 2, 3)) / sums.pixels.sum(),
        "entropy_right": sums.entropy[:, :, 1].sum((1, 2)) / sums.pixels[:, 1].sum(),
        "entropy_wrong": sums.entropy[:, :, 0].sum((1, 2)) / sums.pixels[:, 0].sum(),
        "entropy_boundary": sums.entropy[..., 1].sum((1, 2)) / sums.pixels[..., 1].sum(),
        "entropy_interior": sums.entropy[..., 0].sum((1, 2)) / sums.pixels[..., 0].sum(),
    }
    columns = {name: values / most for name, values in parts.items()}
    shares = sums.pixels.sum((1, 2)) / sums.pixels.sum()
    for name, values in (("non_target_entropy", others_entropy), ("non_target_information", information)):
        columns[name] = (shares * values.nan_to_num()).sum(1)
    return {
        label: {name: float(values[number]) for name, values in columns.items()} for number, label in enumerate(names)
    }


def _by_class(sums: Sums, classes: Sequence[str]) -> Table:
    pixels = sums.pixels.sum((1, 2))
    columns = {
        "pixels": pixels,
        "accuracy": sums.pixels[:, 1].sum(1) / pixels,
        "nll": sums.errors[:, 0] / pixels,
        "brier": sums.errors[:, 1] / pixels,
        "ece": _class_errors(sums),
        "rank_agreement": sums.agreement / sums.agreeing,
    }
    return {
        label: {name: float(values[number]) for name, values in columns.items()} for number, label in enumerate(classes)
    }


def _by_bin(sums: Sums) -> Table:
    edges = [f"{number / BINS:.3f}" for number in range(BINS + 1)]
    return {
        f"{edges[number]}-{edges[number + 1]}": {
            "pixels": float(sums.top[number, 0]),
            "confidence": float(sums.top_confidence[number] / sums.top[number, 0]),
            "accuracy": float(sums.top[number, 1] / sums.top[number, 0]),
        }
        for number in range(BINS)
    }


def _non_target(sums: Sums) -> tuple[Tensor, Tensor]:
    """Give the information I = H(E[p̂|y]) - E[H(p̂)|y] of the non-target probabilities p̂, and their entropy: T×C."""
    pixels = sums.pixels.sum((1, 2))
    entropy = sums.others_entropy / pixels
    mean = sums.others / pixels[:, None]
    return entr(mean).sum(2) - entropy, entropy


def _class_errors(sums: Sums) -> Tensor:
    """Give the calibration error of each class's probability, over all pixels: C."""
    errors = [calibration_error(*both) for both in zip(sums.class_top, sums.class_confidence, strict=True)]
    return torch.stack(errors)


def calibration_error(counts: Tensor, confidences: Tensor) -> Tensor:
    """Give the mean over pixels of the distance between the accuracy and the mean confidence of their bin.

    Args:
        counts: B×2, pixels and hits.
        confidences: B, their sum.
    """
    return (counts[:, 1] - confidences).abs().sum() / counts[:, 0].sum()


@frozen
class Best:
    """The temperature that fits the labels best."""

    value: float
    at_border: bool
    """Whether it is an end of the grid: the best may lie beyond."""
    nll: float


def best_temperature(nll: Tensor) -> Best:
    """Find the temperature of the least negative log-likelihood.

    Args:
        nll: of each temperature of the grid; nan where no pixel was counted.

    Returns:
        The lowest point of the parabola, in the temperature's logarithm, through the best of the grid and its two
        neighbours.
    """
    if bool(nll.isnan().any()):
        return Best(math.nan, at_border=False, nll=math.nan)
    best = int(nll.argmin())
    if best in (0, len(GRID) - 1):
        return Best(GRID[best], at_border=True, nll=float(nll[best]))
    before, lowest, after = nll[best - 1 : best + 2].tolist()
    curvature = before - 2 * lowest + after
    shift = (before - after) / (2 * curvature) if curvature > 0 else 0.0
    step = math.log(GRID[1] / GRID[0])
    return Best(GRID[best] * math.exp(shift * step), at_border=False, nll=lowest - (before - after) * shift / 4)
