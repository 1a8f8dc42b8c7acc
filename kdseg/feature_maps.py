"""What features hold, as maps that can be drawn: lively channels, principal components, attention. NumPy alone.

Features are N×C×h×w, of any numbers; cells that hold a value that is not finite stay out of what is fitted, and are nan
in maps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

if TYPE_CHECKING:
    import numpy.typing as npt

    Values = npt.NDArray[np.float64]

__all__ = ["Components", "as_array", "attention", "dead_channels", "lively_channels", "principal_components", "resized"]


@frozen(eq=False)
class Components:
    """Principal components of features."""

    maps: Values
    """N×k×h×w: each cell's coordinates, around 0."""
    shares: Values
    """k: of the variance over all cells; all 0 where there is none."""


def as_array(features: Any) -> Values:
    """Give a tensor of any float type and device as an array."""
    values: Values = features.detach().double().cpu().numpy()
    return values


def lively_channels(features: Values, count: int) -> tuple[int, ...]:
    """Give the channels of the greatest variance over images and cells, greatest first, of equal ones the lower.

    A channel with a value that is not finite comes last.
    """
    flat = np.moveaxis(features, 1, 0).reshape(features.shape[1], -1)
    lost = np.logical_not(np.isfinite(flat).all(1))
    variance = np.where(lost, -1.0, np.where(lost[:, None], 0.0, flat).var(1))
    return tuple(int(channel) for channel in np.argsort(-variance, kind="stable")[:count])


def dead_channels(features: Values) -> tuple[int, ...]:
    """Give the channels that are one and the same value in all cells of all images: they tell nothing here.

    Where there is but one cell, those that are 0.
    """
    flat = np.moveaxis(features, 1, 0).reshape(features.shape[1], -1)
    if flat.shape[1] == 1:
        return tuple(int(channel) for channel in np.flatnonzero(flat[:, 0] == 0))
    same = np.equal(flat, flat[:, :1])
    return tuple(int(channel) for channel in np.flatnonzero(same.all(1)))


def principal_components(features: Values, count: int) -> Components:
    """Give the principal components of the cells' channels, over all images at once.

    The sign of a component follows from a rule, so that those of a network that has learnt a little more look alike:
    the channel with the greatest part in it has a positive one.

    Args:
        features: N×C×h×w.
        count: how many; there are at most as many as channels.
    """
    images, channels, height, width = features.shape
    cells = np.moveaxis(features, 1, 3).reshape(-1, channels)
    whole = np.isfinite(cells).all(1)
    count = min(count, channels)
    maps = np.full((len(cells), count), np.nan)
    shares = np.zeros(count)
    if whole.any():
        centred = cells[whole] - cells[whole].mean(0)
        directions, variances = _directions(centred, count)
        strongest = directions[np.abs(directions).argmax(0), np.arange(count)]
        maps[whole] = centred @ (directions * np.where(strongest < 0, -1.0, 1.0))
        total = np.square(centred).sum()
        shares = variances / total if total > 0 else shares
    return Components(np.moveaxis(maps.reshape(images, height, width, count), 3, 1), shares)


def _directions(centred: Values, count: int) -> tuple[Values, Values]:
    """Give unit vectors, channels×count, and the sums of squares along them; 0 where nothing is left to explain."""
    fewer_cells = len(centred) < centred.shape[1]
    squares, vectors = np.linalg.eigh(centred @ centred.T if fewer_cells else centred.T @ centred)
    squares, vectors = squares[::-1][:count], vectors[:, ::-1][:, :count]
    left = squares > 1e-12 * max(squares[0], np.finfo(np.float64).tiny)  # the rest is rounding
    if fewer_cells:
        vectors = centred.T @ (vectors / np.sqrt(np.where(left, squares, 1.0)))
    directions, found = np.zeros((centred.shape[1], count)), np.zeros(count)
    directions[:, : len(squares)] = np.where(left, vectors, 0.0)
    found[: len(squares)] = np.where(left, squares, 0.0)
    return directions, found


def attention(features: Values) -> Values:
    """Give where a network looks, N×h×w: the mean of |a| over the channels, divided by the map's root mean square.

    So 1 is usual everywhere, whatever the number of channels and cells: maps of networks that differ in both can be
    held against each other (Zagoruyko and Komodakis, 1612.03928, with the mean for the sum and a divisor that does not
    grow with the cells). A map of zeros stays one.
    """
    maps: Values = np.abs(features).mean(1)
    maps = np.where(np.isfinite(maps), maps, np.nan)
    squares = np.where(np.isnan(maps), 0.0, np.square(maps)).sum((1, 2)) / np.maximum((~np.isnan(maps)).sum((1, 2)), 1)
    return maps / np.sqrt(np.where(squares > 0, squares, 1.0))[:, None, None]


def resized(maps: Values, size: tuple[int, int]) -> Values:
    """Bring maps N×h×w to another height and width, between cells in a straight line; nan spreads to its neighbours."""
    import cv2

    if maps.shape[1:] == size:
        return maps
    smaller = size[0] <= maps.shape[1] and size[1] <= maps.shape[2]
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.stack([np.asarray(cv2.resize(one, size[::-1], interpolation=way), np.float64) for one in maps])
