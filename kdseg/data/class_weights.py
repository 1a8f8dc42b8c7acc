"""Weights that make rare classes count more, from how often each occurs.

A weighted mean does not feel the scale of its weights, so each rule keeps its paper's. A class that occurs in no label
read weighs as much as the rarest one that does: should it turn up after all (big datasets are counted in part), it is
learnt, and label smoothing stays finite.
"""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kdseg.components import ClassShares

ENET_OFFSET = 1.02
EFFECTIVE_NUMBER_BETA = 0.999


def enet(shares: ClassShares) -> tuple[float, ...]:
    """Weigh by w = 1 / ln(1.02 + p), p the class's share of the labelled pixels (ENet, 1606.02147, section 5.2).

    From 1.42 for a class that fills every pixel to 50.5 for one that fills none.
    """
    _refuse_empty(shares)
    total = sum(shares.pixels)
    return tuple(1 / math.log(ENET_OFFSET + pixels / total) for pixels in shares.pixels)


def median_frequency(shares: ClassShares) -> tuple[float, ...]:
    """Weigh by w = median(f) / f, f the class's share of the pixels of the images that hold it.

    Median frequency balancing of Eigen and Fergus (1411.4734, section 6.3.2); the median is over the classes that
    occur.
    """
    _refuse_empty(shares)
    frequencies = [
        pixels / present if pixels else None
        for pixels, present in zip(shares.pixels, shares.pixels_where_present, strict=True)
    ]
    middle = median(frequency for frequency in frequencies if frequency is not None)
    return _absent_as_rarest([None if frequency is None else middle / frequency for frequency in frequencies])


def effective_number(shares: ClassShares) -> tuple[float, ...]:
    """Weigh by w = (1 - b) / (1 - b^n), n the images that hold the class, b = 0.999, scaled to a mean of 1.

    Class-balanced weights of Cui et al. (1901.05555, equation 4). Images are counted, not pixels: on pixel counts
    b = 0.999 gives every class the same weight.
    """
    _refuse_empty(shares)
    beta = EFFECTIVE_NUMBER_BETA
    weights = _absent_as_rarest([(1 - beta) / (1 - beta**images) if images else None for images in shares.images])
    mean = sum(weights) / len(weights)
    return tuple(weight / mean for weight in weights)


CLASS_WEIGHTS: Mapping[str, Callable[[ClassShares], tuple[float, ...]]] = {
    "enet": enet,
    "median_frequency": median_frequency,
    "effective_number": effective_number,
}
"""By the names that recipes use."""


def _refuse_empty(shares: ClassShares) -> None:
    """Refuse to weigh classes where no label was found."""
    if not any(shares.pixels):
        raise KdsegError(
            'class weights follow from the training labels, and there are none; set class_weights = "none"'
        )


def _absent_as_rarest(weights: Sequence[float | None]) -> tuple[float, ...]:
    """Give the classes without a weight the largest of the others'."""
    largest = max(weight for weight in weights if weight is not None)
    return tuple(largest if weight is None else weight for weight in weights)
