"""Folders of small images and masks, as people have them."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

HEIGHT, WIDTH, CELL = 32, 48, 8
COLOURS = np.array([[0, 0, 0], [128, 64, 128], [0, 0, 142]], np.uint8)
"""RGB of the classes 0, 1 and 2."""


def indices_of(number: int) -> np.ndarray:
    """Give the classes, 0 to 2, of a drawn image, which holds each."""
    cells = np.random.default_rng(number).integers(0, 3, (HEIGHT // CELL, WIDTH // CELL), np.uint8)
    cells[0, :3] = range(3)
    return cells.repeat(CELL, 0).repeat(CELL, 1)


def image_of(number: int) -> np.ndarray:
    """Draw an image, RGB, whose brightness tells the class."""
    noise = np.random.default_rng([number, 1]).integers(0, 40, (HEIGHT, WIDTH, 3), np.uint8)
    return indices_of(number)[..., None] * np.uint8(80) + noise


def write(path: Path, picture: np.ndarray | bytes) -> Path:
    """Write a picture, RGB or grey, as its suffix says, or bytes as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(picture, bytes):
        path.write_bytes(picture)
    else:
        assert cv2.imwrite(str(path), picture[..., ::-1] if picture.ndim == 3 else picture)
    return path


def palette_png(indices: np.ndarray, colours: np.ndarray = COLOURS) -> bytes:
    """Encode a PNG with a palette, as ISO/IEC 15948 says; OpenCV cannot."""
    height, width = indices.shape
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", colours.tobytes()),
        (b"IDAT", zlib.compress(np.pad(indices, ((0, 0), (1, 0))).tobytes())),  # each row begins with its filter: none
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


ENCODINGS = {
    "palette": palette_png,
    "binary": lambda indices: np.where(indices > 0, 255, 0).astype(np.uint8),
    "colours": lambda indices: COLOURS[indices],
    "one_based": lambda indices: indices + np.uint8(1),
    "deep": lambda indices: indices.astype(np.uint16) * np.uint16(1000),
    "indices": lambda indices: indices,
}
"""How masks may say the classes."""


def make_folder(
    root: Path, encoding: str = "indices", *, count: int, image: str, mask: str = "", first: int = 0
) -> None:
    """Make a folder of images and, where they have a name, masks: ``image = "images/{:03}.jpg"``.

    `first` is the number by which the first is drawn.
    """
    for number in range(count):
        write(root / image.format(number), image_of(first + number))
        if mask:
            write(root / mask.format(number), ENCODINGS[encoding](indices_of(first + number)))
