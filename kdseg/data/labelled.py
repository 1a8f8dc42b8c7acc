"""What every sample must be before anything reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from attrs import evolve

from kdseg.data.samples import IGNORE_INDEX, Sample
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    import numpy.typing as npt


def labelled(sample: Sample) -> Sample:
    """Give a sample with a mask: an unlabelled one is ignored everywhere.

    Raises:
        KdsegError: its image or mask is not as `Sample` says.
    """
    image, mask = sample.image, sample.mask
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:  # noqa: PLR2004 (RGB)
        raise KdsegError(f"{sample.id}: its image is {_described(image)}; it must be uint8 HxWx3")
    if mask is None:
        return evolve(sample, mask=np.full(image.shape[:2], IGNORE_INDEX, np.uint8))
    if mask.dtype != np.uint8 or mask.shape != image.shape[:2]:
        raise KdsegError(
            f"{sample.id}: its mask is {_described(mask)}; it must be uint8 HxW, as large as its image, which is "
            f"{_described(image)}"
        )
    return sample


def highest_label(mask: npt.NDArray[np.uint8]) -> int:
    """Give the highest label of a mask, H×W, but for `IGNORE_INDEX`; -1 where all is ignored."""
    lowest, highest, *_ = cv2.minMaxLoc(mask.view(np.int8))  # IGNORE_INDEX is -1; one pass, and no array between two
    return int(highest) if lowest >= -1 else int((mask + np.uint8(1)).max()) - 1  # a label is 128 or more


def _described(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    """Give type and shape as text: ``uint8 360x480``."""
    return f"{array.dtype} {'x'.join(map(str, array.shape))}"
