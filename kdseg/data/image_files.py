"""Pictures from files: whole and as they were meant, or refused by name."""

from __future__ import annotations

import os
import stat
import struct
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from kdseg.data.containers import BITS, JPEG, PNG, is_lossy, orientation, picture_size, tiff_numbers
from kdseg.data.stored_numbers import PALETTE, plain_numbers, spread, without_palette
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]

_MOST_PIXELS = "OPENCV_IO_MAX_IMAGE_PIXELS"
_MOST = os.environ[_MOST_PIXELS]
"""So many pixels are decoded at most, since a header may claim anything; `kdseg` sets it."""
LARGEST_FILE = 2**29
"""Bytes: more than 134 million pixels, the most that are decoded, take."""
_PNG_END, _JPEG_END = b"IEND\xaeB`\x82", b"\xff\xd9"
_COLOUR_TYPES = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGBA"}
"""Of PNG (ISO/IEC 15948, table 11.1)."""


def read_rgb(path: Path, *, upright: bool, content: bytes | None = None) -> Image:
    """Read a picture of any format and depth as RGB, uint8 H×W×3.

    PNG tells of any damage. JPEG, BMP and TIFF hold no checksum: they tell of missing data, not of changed bits.

    Args:
        path: the file.
        upright: turn it as its EXIF data say, as viewers do. False leaves the pixels as they are stored, which is how
            masks are aligned with their images.
        content: the file's bytes, where they lie elsewhere; `path` then only names them.

    Raises:
        KdsegError: naming the file, where it cannot be read, is damaged or no picture.
    """
    mode = cv2.IMREAD_COLOR_RGB if upright else cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    return np.asarray(_decoded(path, _content(path) if content is None else content, mode), np.uint8)


def read_beside_mask(path: Path) -> Image:
    """Read somebody's own picture that has a mask, as `read_rgb` does: nothing says to which view of it the mask fits.

    Raises:
        KdsegError: naming the file, as `read_rgb` does, or where its EXIF data turn it.
    """
    content = _content(path)
    if (turned := orientation(content)) != 1:
        raise KdsegError(
            f"{path}: is turned by its EXIF data (orientation {turned}), and its mask may fit it as it is seen or as "
            "it is stored; save it as it is seen or, where the mask fits what is stored, remove that tag"
        )
    return read_rgb(path, upright=False, content=content)


def read_labels(path: Path, *, palette: bool = False) -> Image:
    """Read a mask, uint8 H×W: the number in each pixel as it is stored in a PNG of 8-bit grey.

    Args:
        path: the file.
        palette: the dataset's masks have palettes, whose indices are the labels: they may be read, of any depth.

    Raises:
        KdsegError: naming the file, where it cannot be read, is damaged or another kind of picture: the colours of a
            palette, scaled grey of another depth and compressed JPEG are no labels.
    """
    wanted = "8-bit grey, the class index in each pixel (not the colour-coded labels)"
    if palette:
        wanted = "8-bit grey, or with a palette, the class index in each pixel (not the colour-coded labels)"
    content, depth, kind = _mask_content(path, wanted)
    if palette and kind == PALETTE:
        grey = _decoded(path, without_palette(content), cv2.IMREAD_UNCHANGED)
        return np.asarray(grey, np.uint8) // np.uint8(spread(depth))
    return np.asarray(_grey(path, content, (depth, kind), 8, wanted), np.uint8)


def read_ids(path: Path) -> npt.NDArray[np.uint16]:
    """Read ids, uint16 H×W: the number in each pixel as it is stored in a PNG of 16-bit grey.

    Raises:
        KdsegError: naming the file, as `read_labels` does.
    """
    wanted = "16-bit grey, an id in each pixel"
    content, depth, kind = _mask_content(path, wanted)
    return np.asarray(_grey(path, content, (depth, kind), 16, wanted), np.uint16)


def read_numbers(path: Path, content: bytes | None = None) -> npt.NDArray[Any]:
    """Read a mask of any lossless format as the numbers in its pixels, uint8 or uint16 H×W.

    Of a palette these are the indices, of grey the grey as it is stored, in three equal channels too, of 1 bit 0 and 1.

    Args:
        path: the file.
        content: its bytes, where they lie elsewhere; `path` then only names them.

    Raises:
        KdsegError: naming the file, where it cannot be read, is damaged, holds colours, is compressed such that labels
            change, or is of a sort on whose numbers programs disagree.
    """
    content, spread_by = plain_numbers(path, _lossless(path, content))
    numbers = _decoded(path, content, cv2.IMREAD_UNCHANGED)
    if numbers.ndim == 3:  # noqa: PLR2004 (H×W×C)
        first, *others = cv2.split(numbers)[:3]
        if any((other != first).any() for other in others):
            raise KdsegError(
                f"{path}: holds colours, where numbers are wanted; say what each colour means, where its dataset takes "
                "colours, or export the masks as class indices"
            )
        numbers = first
    if numbers.dtype not in (np.uint8, np.uint16):
        raise KdsegError(f"{path}: holds {numbers.dtype} values; a mask's are whole numbers of 8 or 16 bits")
    return numbers // numbers.dtype.type(spread_by) if spread_by > 1 else numbers


def read_colours(path: Path, content: bytes | None = None) -> Image:
    """Read a mask of any lossless format as the colours that are seen, RGB, uint8 H×W×3; those of its palette too.

    Args:
        path: the file.
        content: as `read_numbers` takes it.

    Raises:
        KdsegError: naming the file, as `read_numbers` does.
    """
    mode = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    return np.asarray(_decoded(path, _lossless(path, content), mode), np.uint8)


def read_palette(path: Path) -> Image | None:
    """Read the palette of a PNG, uint8 N×3, RGB; None where the file has none.

    Raises:
        KdsegError: the file cannot be read.
    """
    content = _content(path)
    place = content.find(b"PLTE", len(PNG)) if content.startswith(PNG) and content[25:26] == b"\x03" else -1
    if place < 0:
        return None
    (length,) = struct.unpack_from(">I", content, place - 4)
    colours = np.frombuffer(content[place + 4 : place + 4 + length], np.uint8)
    return colours[: len(colours) // 3 * 3].reshape(-1, 3)


def _lossless(path: Path, content: bytes | None) -> bytes:
    content = _content(path) if content is None else content
    if is_lossy(content):
        raise KdsegError(
            f"{path}: is compressed with losses, as JPEG is, so its labels are no longer those that were drawn; "
            "export the masks again, as PNG"
        )
    return content


def _mask_content(path: Path, wanted: str) -> tuple[bytes, int, int]:
    """Give a PNG with its depth and colour type."""
    content = _content(path)
    if not content.startswith(PNG) or len(content) < 33:  # noqa: PLR2004 (signature and header)
        raise KdsegError(f"{path}: is no PNG; a mask is a PNG of {wanted}")
    depth, kind = struct.unpack_from("BB", content, 24)
    return content, depth, kind


def _grey(path: Path, content: bytes, found: tuple[int, int], depth: int, wanted: str) -> npt.NDArray[Any]:
    """Decode grey of the depth that is wanted."""
    if found != (depth, 0):
        what = f"{found[0]}-bit {_COLOUR_TYPES.get(found[1], 'unknown')}"
        raise KdsegError(f"{path}: is {what}; a mask is a PNG of {wanted}")
    labels = _decoded(path, content, cv2.IMREAD_UNCHANGED)
    if labels.ndim != 2 or labels.dtype.itemsize * 8 != depth:  # noqa: PLR2004 (H×W)
        raise KdsegError(f"{path}: is more than grey; a mask is a PNG of {wanted}")
    return labels


def _content(path: Path) -> bytes:
    try:
        with open(path, "rb", buffering=0, opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise KdsegError(f"{path}: is no file")
            if status.st_size > LARGEST_FILE:
                raise KdsegError(f"{path}: is larger than {LARGEST_FILE // 2**20} MiB")
            return file.readall()
    except IsADirectoryError as error:
        raise KdsegError(f"{path}: is no file") from error
    except OSError as error:
        raise KdsegError(f"{path}: cannot be read: {error.strerror}") from error


def _without_waiting(path: str, flags: int) -> int:
    """Open a file, and a pipe too, for which nobody may ever have anything."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _decoded(path: Path, content: bytes, mode: int) -> npt.NDArray[Any]:
    image, told = None, ""
    try:
        if content and _ends(content):
            image = cv2.imdecode(np.frombuffer(content, np.uint8), mode)
    except cv2.error as error:
        told = str(error)
    if image is None:
        raise KdsegError(f"{path}: is no image that can be decoded; {_why(content, told)}")
    return np.asarray(image)


def _why(content: bytes, told: str) -> str:
    """Say why a file may be one that OpenCV cannot decode, by its header and by what OpenCV told."""
    height, width = picture_size(content) or (0, 0)
    if "IO_MAX_IMAGE" in told or (_MOST.isdecimal() and height * width > int(_MOST)):
        size = f"its header says {height}x{width}" if height * width else "it is large"
        return f"{size}, and the most is {_MOST} pixels: make it smaller, or set {_MOST_PIXELS} before kdseg starts"
    bits, _ = tiff_numbers(content).get(BITS, (0, 0))
    if bits > 16:  # noqa: PLR2004 (the most that are scaled to 8)
        return f"it has {bits} bits a channel: save it with 8 or 16"
    return "it may be truncated"


def _ends(content: bytes) -> bool:
    """Whether a PNG or a JPEG has its end, sought from behind: some decoders make up what is missing."""
    if content.startswith(PNG):
        return content.rfind(_PNG_END) >= 0
    return content.rfind(_JPEG_END) >= 0 if content.startswith(JPEG) else True
