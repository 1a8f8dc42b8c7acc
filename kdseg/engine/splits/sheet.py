"""A picture of what a split looks like: samples that together show every class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from kdseg.data.labelled import labelled
from kdseg.data.pictures import overlay

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from kdseg.data.samples import ClassTable, Sample
    from kdseg.data.scan import Scan
    from kdseg.engine.splits.report import ScannedSplit

    Image = npt.NDArray[np.uint8]

SAMPLES = 8
WIDTH = 480
"""Pixels of one picture; its height follows."""
LINE = 24
GAP = 6


def sheet(scanned: ScannedSplit) -> Image:
    """Set samples in two columns, each with its image, its labels over it and its name, above the classes' colours.

    Args:
        scanned: a split of which at least one sample is in order.

    Returns:
        RGB, H×W×3.
    """
    chosen = choose(scanned.scan, SAMPLES)
    tiles = [_tile(scanned.split.samples[index], scanned.classes.colours) for index in chosen]
    legend = _legend(scanned.classes, scanned.scan, 4 * WIDTH + 3 * GAP)
    rows = [tiles[start : start + 2] for start in range(0, len(tiles), 2)]
    height = GAP + sum(max(tile.shape[0] for tile in row) + GAP for row in rows)
    page = np.full((height + len(legend), legend.shape[1], 3), 255, np.uint8)
    top = GAP
    for row in rows:
        for column, tile in enumerate(row):
            left = column * (2 * WIDTH + 2 * GAP)
            page[top : top + len(tile), left : left + tile.shape[1]] = tile
        top += max(len(tile) for tile in row) + GAP
    page[height:] = legend
    return page


def choose(scan: Scan, most: int) -> list[int]:
    """Give samples in order: for each class, from the rarest, the one with most of it; then evenly spaced ones."""
    sound = [index for index, defect in enumerate(scan.defects) if not defect]
    counts = scan.labelled_pixels
    by_rarity = [name for name in np.argsort(counts.sum(0), kind="stable").tolist() if counts[:, name].any()]
    richest = [int(counts[:, name].argmax()) for name in by_rarity]
    spaced = [sound[position * len(sound) // most] for position in range(min(most, len(sound)))]
    return sorted([*dict.fromkeys([*richest, *spaced])][:most])


def _tile(sample: Sample, colours: Sequence[tuple[int, int, int]]) -> Image:
    sample = labelled(sample)
    assert sample.mask is not None  # labelled
    height = round(WIDTH * sample.image.shape[0] / sample.image.shape[1])
    shown = [sample.image, overlay(sample.image, sample.mask, colours)]
    tile = np.full((LINE + height, 2 * WIDTH + GAP, 3), 255, np.uint8)
    for column, picture in enumerate(shown):
        left = column * (WIDTH + GAP)
        smaller = picture.shape[1] > WIDTH
        tile[LINE:, left : left + WIDTH] = cv2.resize(
            picture, (WIDTH, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_NEAREST
        )
    _write(tile, sample.id, 2, LINE - 8)
    return tile


def _legend(classes: ClassTable, scan: Scan, width: int) -> Image:
    """Each class with its colour and its share of the labelled pixels."""
    columns = 4
    rows = -(-len(classes) // columns)
    legend = np.full((rows * LINE + GAP, width, 3), 255, np.uint8)
    counts = scan.labelled_pixels.sum(0)
    total = max(int(counts.sum()), 1)
    for index, (name, colour) in enumerate(zip(classes.names, classes.colours, strict=True)):
        column, row = divmod(index, rows)
        left, top = column * width // columns + 2, row * LINE
        legend[top + 4 : top + LINE - 4, left : left + LINE] = colour
        _write(legend, f"{name}  {100 * counts[index] / total:.2f} %", left + LINE + 8, top + LINE - 7)
    return legend


def _write(picture: Image, text: str, left: int, base: int) -> None:
    plain = text.encode("ascii", "replace").decode()  # OpenCV's letters are those of ASCII
    cv2.putText(picture, plain, (left, base), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
