"""Pictures from files: whole and as they were meant, or refused by name."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**27))  # read when it is imported: a header may claim anything
import cv2

from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]

LARGEST_FILE = 2**29
"""Bytes: more than 134 million pixels, the most that are decoded, take."""
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_COLOUR_TYPES = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGBA"}
"""Of PNG (ISO/IEC 15948, table 11.1)."""


def read_rgb(path: Path, *, upright: bool) -> Image:
    """Read a picture of any format and depth as RGB, uint8 H×W×3.

    PNG tells of any damage. JPEG, BMP and TIFF hold no checksum: they tell of missing data, not of changed bits.

    Args:
        path: the file.
        upright: turn it as its EXIF data say, as viewers do. False leaves the pixels as they are stored, which is how
            masks are aligned with their images.

    Raises:
        KdsegError: naming the file, where it cannot be read, is damaged or no picture.
    """
    mode = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return np.asarray(cv2.cvtColor(_decoded(path, _content(path), mode), cv2.COLOR_BGR2RGB), np.uint8)


def read_labels(path: Path) -> Image:
    """Read a mask, uint8 H×W: the number in each pixel as it is stored in a PNG of 8-bit grey.

    Raises:
        KdsegError: naming the file, where it cannot be read, is damaged or another kind of picture: the colours of a
            palette, scaled grey of another depth and compressed JPEG are no labels.
    """
    content = _content(path)
    wanted = "a mask is a PNG of 8-bit grey, the class index in each pixel (not the colour-coded labels)"
    if not content.startswith(_PNG) or len(content) < 33:  # noqa: PLR2004 (signature and header)
        raise KdsegError(f"{path}: is no PNG; {wanted}")
    depth, kind = struct.unpack_from("BB", content, 24)
    if (depth, kind) != (8, 0):
        raise KdsegError(f"{path}: is {depth}-bit {_COLOUR_TYPES.get(kind, 'unknown')}; {wanted}")
    labels = _decoded(path, content, cv2.IMREAD_UNCHANGED)
    if labels.ndim != 2 or labels.dtype != np.uint8:  # noqa: PLR2004 (H×W)
        raise KdsegError(f"{path}: is more than grey; {wanted}")
    return np.asarray(labels, np.uint8)


def _content(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise KdsegError(f"{path}: is no file")
        if path.stat().st_size > LARGEST_FILE:
            raise KdsegError(f"{path}: is larger than {LARGEST_FILE // 2**20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise KdsegError(f"{path}: cannot be read: {error.strerror}") from error


def _decoded(path: Path, content: bytes, mode: int) -> npt.NDArray[Any]:
    image = None
    try:
        if content and _ends(content):
            image = cv2.imdecode(np.frombuffer(content, np.uint8), mode)
    except cv2.error:  # more pixels than are taken, say
        pass
    if image is None:
        raise KdsegError(f"{path}: is no image that can be decoded; it may be truncated")
    return np.asarray(image)


def _ends(content: bytes) -> bool:
    """Whether a PNG or a JPEG has its end: some decoders make up what is missing."""
    if content.startswith(_PNG):
        return _PNG_END in content
    return _JPEG_END in content if content.startswith(_JPEG) else True
