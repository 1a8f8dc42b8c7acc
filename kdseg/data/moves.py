"""Crops and flips as views: what only moves pixels need not copy them before they are written into a batch."""

from __future__ import annotations

import os
import types
from typing import TYPE_CHECKING, Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import asks the network for a newer release otherwise
import albumentations

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.uint8]


class _AsViews:
    """Mixed into a transform that only moves pixels; what it draws stays the library's."""

    apply: Callable[..., Array]
    apply_to_mask: Callable[..., Array]

    def apply_with_params(self, params: dict[str, Any], *, image: Array, mask: Array) -> dict[str, Array]:
        """Give what the transform's methods give, where the library makes it contiguous."""
        return {"image": self.apply(image, **params), "mask": self.apply_to_mask(mask, **params)}


class _HorizontalFlip(_AsViews, albumentations.HorizontalFlip):  # type: ignore[misc] # albumentations is untyped
    def apply(self, img: Array, **_: Any) -> Array:
        return img[:, ::-1]


class _VerticalFlip(_AsViews, albumentations.VerticalFlip):  # type: ignore[misc] # albumentations is untyped
    def apply(self, img: Array, **_: Any) -> Array:
        return img[::-1]


_CROPS = (
    albumentations.CenterCrop,
    albumentations.Crop,
    albumentations.RandomCrop,
    albumentations.RandomCropFromBorders,
)
MOVES = {"HorizontalFlip": _HorizontalFlip, "VerticalFlip": _VerticalFlip} | {
    crop.__name__: types.new_class(crop.__name__, (_AsViews, crop)) for crop in _CROPS
}
"""By the names of albumentations' transforms, classes that make and draw the same as they do, as views."""
