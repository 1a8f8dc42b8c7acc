"""Images of a run's splits, as an exported file takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from kdseg.data.images import byte_batch, resized

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from kdseg.data.samples import Samples


def spread(samples: Samples, most: int | None) -> list[int]:
    """Give the indices of `most` samples, evenly spread over all; of all, where there are no more or None is given."""
    count = len(samples)
    if most is None or most >= count:
        return list(range(count))
    return [number * count // most for number in range(most)]


def calibration_images(samples: Samples, most: int, *, size: tuple[int, int] | None, floats: bool) -> Iterator[Tensor]:
    """Give images of the training split, unchanged but for the size, one at a time.

    Args:
        samples: the split.
        most: how many.
        size: what they are resized to, where the file takes no other.
        floats: whether they are given in 0..1, not as bytes.
    """
    for index in spread(samples, most):
        image = byte_batch(samples[index].image)
        if size is not None:
            image = resized(image.float(), size).round().clamp(0, 255).to(torch.uint8)
        yield image.float() / 255 if floats else image
