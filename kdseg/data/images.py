"""From stored pixels to what a network takes. Training and deployment share it, so that they agree to the bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from attrs import frozen

from kdseg.errors import KdsegError
from kdseg.recipe.validators import SMALLEST

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor


def refuse_small(image: npt.NDArray[np.uint8], name: str) -> None:
    """Refuse an image H×W×3 that need not pass through every network.

    Raises:
        KdsegError: naming the image and its size.
    """
    height, width = image.shape[:2]
    if min(height, width) < SMALLEST:
        raise KdsegError(f"{name} is {height}x{width}; networks take images of {SMALLEST}x{SMALLEST} or more")


def scaled_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Give height and width of an image seen at a scale."""
    return round(height * scale), round(width * scale)


def refuse_small_scale(height: int, width: int, scale: float) -> None:
    """Refuse a scale at which an image of this size need not pass through every network.

    Raises:
        KdsegError: naming the scale and the sizes.
    """
    found = scaled_size(height, width, scale)
    if min(found) < SMALLEST:
        raise KdsegError(
            f"at scale {scale:g} an image of {height}x{width} is {found[0]}x{found[1]}; networks take images of "
            f"{SMALLEST}x{SMALLEST} or more"
        )


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize N×C×H×W as albumentations does: bilinear, between the centres of pixels, no filter where it shrinks."""
    if tuple(images.shape[2:]) == size:
        return images
    return F.interpolate(images, size, mode="bilinear", align_corners=False)


def unit_images(images: Tensor) -> Tensor:
    """Give uint8 images N×H×W×3 as float32 N×3×H×W in 0..1, channels last in memory as they came."""
    return images.permute(0, 3, 1, 2).float() / 255


@frozen(eq=False)
class Normalise:
    """Makes networks' input of uint8 images N×H×W×3: scaled to 0..1, the mean taken off, divided by the deviation."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> Normalise:
        """Make one for the three channels' means and deviations, in units of 0..1."""
        return cls(channel_constants(mean).to(device), channel_constants(std).to(device))

    def __call__(self, images: Tensor) -> Tensor:
        """Give the images N×3×H×W, normalised."""
        return (unit_images(images) - self.mean) / self.std


def channel_constants(values: tuple[float, ...]) -> Tensor:
    """Give one number a channel in the shape that broadcasts over N×C×H×W."""
    return torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)
