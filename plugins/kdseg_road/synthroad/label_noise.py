"""Labels as hurried annotators leave them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from kdseg.data.samples import IGNORE_INDEX
from kdseg_road.synthroad.labels import OCCURRING

if TYPE_CHECKING:
    import numpy.typing as npt

    Mask = npt.NDArray[np.uint8]

_CLASSES = np.array(OCCURRING, np.uint8)
_ROWS = 9  # of the grid over which boundaries are moved


def flipped(mask: Mask, share: float, generator: np.random.Generator) -> Mask:
    """Give a mask in which each region is called another class with the probability `share`.

    A region is a connected part of one class; what it is called instead is any other class that occurs, each as likely.
    So the expected share of wrong pixels is `share`: symmetric noise, by regions. Ignored pixels stay so.
    """
    noisy = mask.copy()
    for label in np.flatnonzero(np.bincount(mask.ravel(), minlength=256)):
        if label == IGNORE_INDEX:
            continue
        here = mask == label
        count, regions = cv2.connectedComponents(here.view(np.uint8), connectivity=4)
        others = np.setdiff1d(_CLASSES, label)
        called = others[generator.integers(0, len(others), count)]
        called[generator.random(count) >= share] = label
        noisy[here] = called[regions[here]]
    return noisy


def jittered(mask: Mask, pixels: float, generator: np.random.Generator) -> Mask:
    """Give a mask whose boundaries wander smoothly, some `pixels` to and fro."""
    height, width = mask.shape
    grid = generator.standard_normal((_ROWS, max(2, round(_ROWS * width / height)), 2), np.float32)
    moves = cv2.resize(grid * np.float32(pixels), (width, height), interpolation=cv2.INTER_CUBIC)
    across = moves[..., 0] + np.arange(width, dtype=np.float32)
    down = moves[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return np.asarray(cv2.remap(mask, across, down, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE), np.uint8)
