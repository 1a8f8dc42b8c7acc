"""The classes of Pascal VOC's segmentations (Everingham et al. 2015)."""

from __future__ import annotations

from itertools import islice

from kdseg import ClassTable
from kdseg.mask_values.colours import fresh_colours

_NAMES = (
    "background",
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)

PASCAL_VOC = ClassTable(names=_NAMES, colours=((0, 0, 0), *islice(fresh_colours(()), len(_NAMES) - 1)))
"""In the order of the development kit, with the colours of its map, in which the masks' palettes show them."""
