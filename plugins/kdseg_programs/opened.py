"""What a program is once its file is open, of whichever sort."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from attrs import frozen

from kdseg import KdsegError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_RGB = 3
_IMAGES = 4
"""Dimensions of several images."""


@frozen(kw_only=True)
class Opened:
    """A program, and which images it takes."""

    run: Callable[[Any], Any]
    """Takes a tensor N×3×H×W; gives a tensor, or several by name or in order. A module where it is one of torch's."""
    dtype: torch.dtype
    """What the tensor must hold."""
    batch: int | None = None
    """The only N that it takes; None: any."""
    size: tuple[int, ...] = ()
    """The only height and width; empty: any."""


def fixed_shape(file: Path, shape: Sequence[Any]) -> tuple[int | None, tuple[int, ...]]:
    """Give the batch and the size that a program's only input has fixed: integers of its shape; others are free.

    Raises:
        KdsegError: it is no shape of images.
    """
    fixed = [side if isinstance(side, int) and side > 0 else None for side in shape]
    if len(fixed) != _IMAGES or fixed[1] not in (None, _RGB):
        told = "×".join("?" if side is None else str(side) for side in fixed)
        raise KdsegError(f"{file}: its program takes {told or 'a number'}; images N×3×H×W are needed")
    batch, _, height, width = fixed
    return batch, () if height is None or width is None else (height, width)


def refuse_inputs(file: Path, names: Sequence[str]) -> None:
    """Refuse a program of several inputs, or none.

    Raises:
        KdsegError: naming them.
    """
    if len(names) != 1:
        found = ", ".join(names) or "none"
        raise KdsegError(f"{file}: its program has {len(names)} inputs ({found}); one, of images, is needed")
