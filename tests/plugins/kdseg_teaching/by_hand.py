"""The definitions once more, pixel by pixel in Python's own floats."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logsumexp
from scipy.stats import spearmanr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

BINS = 15


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits - logsumexp(logits))


def entropy(p: np.ndarray) -> float:
    return -math.fsum(x * math.log(x) for x in p if x > 0)


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if len(values) else math.nan


def is_boundary(target: np.ndarray, row: int, column: int, radius: int) -> bool:
    around = target[max(row - radius, 0) : row + radius + 1, max(column - radius, 0) : column + radius + 1]
    return any(label not in (255, target[row, column]) for label in around.flat)


def is_sampled(height: int, width: int, row: int, column: int, most: int) -> bool:
    step = max(1, math.ceil(math.sqrt(height * width / most)))
    first = [min(step // 2, size - 1) for size in (height, width)]
    return all(at >= start and (at - start) % step == 0 for at, start in zip((row, column), first, strict=True))


def calibration(confidences: Sequence[float], hits: Sequence[bool]) -> float:
    bins: dict[int, list[tuple[float, bool]]] = {}
    for confidence, hit in zip(confidences, hits, strict=True):
        number = next((b for b in range(BINS) if confidence * BINS <= b + 1), BINS - 1)
        bins.setdefault(number, []).append((confidence, hit))
    gaps = [
        len(b) * abs(mean([hit for _, hit in b]) - mean([confidence for confidence, _ in b])) for b in bins.values()
    ]
    return math.fsum(gaps) / len(confidences)


def pixels_of(trials: Sequence[Tensor], target: Tensor, radius: int, most: int) -> list[dict[str, Any]]:
    """Give what is known of each valid pixel."""
    truth, logits = target.numpy(), [trial.double().numpy() for trial in trials]
    _, height, width = truth.shape
    return [
        {
            "label": int(truth[n, row, column]),
            "logits": [one[n, :, row, column] for one in logits],
            "boundary": is_boundary(truth[n], row, column, radius),
            "sampled": is_sampled(height, width, row, column, most),
        }
        for n, row, column in np.ndindex(*truth.shape)
        if truth[n, row, column] != 255
    ]


def correlations(pixel: dict[str, Any]) -> list[float]:
    ours, *others = (np.delete(logits, pixel["label"]) for logits in pixel["logits"])
    told = [other for other in others if len({*ours}) > 1 and len({*other}) > 1]
    return [float(spearmanr(ours, other).statistic) for other in told]


def scalars(pixels: list[dict[str, Any]], classes: int) -> dict[str, float]:
    p = [softmax(pixel["logits"][0]) for pixel in pixels]
    labels = [pixel["label"] for pixel in pixels]
    tops = [int(one.argmax()) for one in p]
    class_wise = [calibration([one[c] for one in p], [label == c for label in labels]) for c in range(classes)]
    rho = [value for pixel in pixels if pixel["sampled"] for value in correlations(pixel)]
    return {
        "pixels": len(pixels),
        "accuracy": mean([top == label for top, label in zip(tops, labels, strict=True)]),
        "nll": mean(nll(pixels, 1.0)),
        "brier": mean(
            [sum((x - (c == label)) ** 2 for c, x in enumerate(one)) for one, label in zip(p, labels, strict=True)]
        ),
        "ece": calibration([one.max() for one in p], [top == label for top, label in zip(tops, labels, strict=True)]),
        "class_wise_ece": mean(class_wise),
        "sampled_pixels": sum(pixel["sampled"] for pixel in pixels),
        "rank_agreement": mean(rho),
    }


def nll(pixels: list[dict[str, Any]], temperature: float) -> list[float]:
    softened = [pixel["logits"][0] / temperature for pixel in pixels]
    return [logsumexp(one) - one[pixel["label"]] for one, pixel in zip(softened, pixels, strict=True)]


def at_temperature(pixels: list[dict[str, Any]], classes: int, temperature: float) -> dict[str, float]:
    """Give the row of the table by temperature."""

    def entropies(which: Sequence[dict[str, Any]]) -> float:
        return mean([entropy(softmax(one["logits"][0] / temperature)) / math.log(classes) for one in which])

    right = [pixel["logits"][0].argmax() == pixel["label"] for pixel in pixels]
    parts = [non_target(pixels, label, temperature) for label in range(classes)]
    counts = [sum(pixel["label"] == label for pixel in pixels) for label in range(classes)]
    weighted = [
        math.fsum(count * part[n] for count, part in zip(counts, parts, strict=True) if count) / len(pixels)
        for n in (0, 1)
    ]
    return {
        "entropy": entropies(pixels),
        "entropy_right": entropies([pixel for pixel, good in zip(pixels, right, strict=True) if good]),
        "entropy_wrong": entropies([pixel for pixel, good in zip(pixels, right, strict=True) if not good]),
        "entropy_boundary": entropies([pixel for pixel in pixels if pixel["boundary"]]),
        "entropy_interior": entropies([pixel for pixel in pixels if not pixel["boundary"]]),
        "non_target_entropy": weighted[0],
        "non_target_information": weighted[1],
    }


def non_target(pixels: list[dict[str, Any]], label: int, temperature: float) -> tuple[float, float]:
    """Give the mean entropy of a class's non-target probabilities, and their information of the image."""
    chosen = [np.delete(pixel["logits"][0], label) / temperature for pixel in pixels if pixel["label"] == label]
    if not chosen:
        return math.nan, math.nan
    p = [softmax(one) for one in chosen]
    average = mean([entropy(one) for one in p])
    return average, entropy(np.mean(p, 0)) - average
