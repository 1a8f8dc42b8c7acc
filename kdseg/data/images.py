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

_RGB = 3
_WHITE = 255
_BATCH = 4
"""Dimensions of several images."""


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


def image_batch(images: npt.NDArray[np.uint8] | Tensor, device: torch.device) -> Tensor:
    """Give RGB images as people hold them as float32 N×3×H×W in 0..1 on a device.

    Args:
        images: one image, or several of one size: an array uint8 H×W×3 or N×H×W×3; or a tensor 3×H×W or N×3×H×W, uint8
            or floats in 0..1.
        device: where they come to lie.

    Raises:
        ValueError: they are something else.
    """
    batch = _refuse_others(images)
    if not isinstance(batch, torch.Tensor):
        return unit_images(torch.from_numpy(batch.copy()).to(device))
    if batch.dtype == torch.uint8:
        return unit_images(batch.to(device).permute(0, 2, 3, 1).contiguous())
    batch = batch.to(device)
    if batch.numel() and not 0 <= batch.min() <= batch.max() <= 1:
        raise ValueError(f"predict takes floats in 0..1; found {batch.min():g} to {batch.max():g}: divide by 255")
    return batch.float()


def byte_batch(images: npt.NDArray[np.uint8] | Tensor) -> Tensor:
    """Give RGB images as `image_batch` takes them as uint8 N×3×H×W on the CPU, contiguous; floats are rounded.

    Raises:
        ValueError: they are something else.
    """
    batch = _refuse_others(images)
    if not isinstance(batch, torch.Tensor):
        return torch.from_numpy(batch.copy()).permute(0, 3, 1, 2).contiguous()
    if batch.dtype != torch.uint8:
        batch = (image_batch(batch, torch.device("cpu")) * _WHITE).round().to(torch.uint8)
    return batch.cpu().contiguous()


def _refuse_others(images: npt.NDArray[np.uint8] | Tensor) -> npt.NDArray[np.uint8] | Tensor:
    """Give images with the dimension that counts them, and refuse what are none."""
    found = f"found {images.dtype} {tuple(images.shape)}"
    batch = images if images.ndim == _BATCH else images[None]
    if not isinstance(batch, torch.Tensor):
        if batch.ndim != _BATCH or batch.shape[3] != _RGB or batch.dtype.name != "uint8":
            raise ValueError(f"predict takes a uint8 image H×W×3 in RGB, or several as N×H×W×3; {found}")
        return batch
    known = batch.dtype == torch.uint8 or batch.is_floating_point()
    if batch.ndim != _BATCH or batch.shape[1] != _RGB or not known:
        raise ValueError(f"predict takes a tensor 3×H×W or N×3×H×W in RGB, uint8 or floats in 0..1; {found}")
    return batch


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
