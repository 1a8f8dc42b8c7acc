"""Vectors of length 1, whose products are cosines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def unit(vectors: Tensor, dim: int) -> Tensor:
    """Give vectors of length 1; one of length 0 stays 0 and gets no gradient."""
    squares = vectors.square().sum(dim, keepdim=True)
    nothing = squares == 0
    return (vectors / squares.masked_fill(nothing, 1).sqrt()).masked_fill(nothing, 0)
