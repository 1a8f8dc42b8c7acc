"""The columns of a gallery: what was predicted, where it is wrong and whose mistake it is, where it is unsure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
from torch.special import entr

from kdseg.charts import blank, shades, write
from kdseg.data.samples import IGNORE_INDEX

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    from torch import Tensor

    Image = npt.NDArray[np.uint8]
    Colour = tuple[int, int, int]

RIGHT, RESCUED, MISSED, COPIED, APART = (236, 236, 236), (0, 158, 115), (213, 94, 0), (0, 114, 178), (30, 30, 30)
IGNORED = (128, 128, 128)


def outcomes(prediction: Image, truth: Image, other: Image | None) -> Image:
    """Paint where a learner is right and where it is wrong, and what another makes of it there.

    Args:
        prediction: the learner's classes, H×W.
        truth: the labels, H×W.
        other: likewise of whom it is compared with; None: with the labels alone.
    """
    right = prediction == truth
    painted = np.where(right[..., None], RIGHT, MISSED)
    if other is not None:
        theirs = other == truth
        painted[right & ~theirs] = RESCUED
        painted[~right & ~theirs & (prediction == other)] = COPIED
        painted[~right & ~theirs & (prediction != other)] = APART
    painted[truth == IGNORE_INDEX] = IGNORED
    return painted.astype(np.uint8)


def meanings(learner: str, other: str | None) -> Mapping[str, Colour]:
    """Say what the colours of `outcomes` mean."""
    if other is None:
        return {"right": RIGHT, f"{learner} wrong": MISSED, "no label": IGNORED}
    return {
        "both right": RIGHT,
        f"only {learner} right": RESCUED,
        f"only {other} right": MISSED,
        "both wrong, alike": COPIED,
        "both wrong, each otherwise": APART,
        "no label": IGNORED,
    }


def legend(width: int, colours: Mapping[str, Colour]) -> Image:
    """Set squares of colours with what they mean side by side, in as many lines as that takes."""
    places, left, top = [], 8, 10
    for text in colours:
        needed = 34 + cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)[0][0]
        if left > 8 and left + needed > width:  # noqa: PLR2004 (not the first of a line)
            left, top = 8, top + 22
        places.append((left, top))
        left += needed
    strip = blank(width, top + 22)
    for (text, colour), (left, top) in zip(colours.items(), places, strict=True):
        cv2.rectangle(strip, (left, top), (left + 13, top + 13), colour, cv2.FILLED)
        cv2.rectangle(strip, (left, top), (left + 13, top + 13), IGNORED, 1)
        write(strip, text, (left + 19, top + 12))
    return strip


def entropy_share(logits: Tensor) -> npt.NDArray[np.float64]:
    """Give the entropy of the softmax at each pixel, H×W, as a share of the most, ln C; of logits C×H×W."""
    entropy = entr(logits.double().softmax(0)).sum(0) / math.log(max(len(logits), 2))
    shares: npt.NDArray[np.float64] = entropy.cpu().numpy()
    return shares


def paint_entropy(logits: Tensor) -> Image:
    """Paint it from dark blue, sure, to yellow; what is not finite is grey."""
    shares = entropy_share(logits)
    return shades(np.nan_to_num(shares), 1.0, ~np.isfinite(shares))
