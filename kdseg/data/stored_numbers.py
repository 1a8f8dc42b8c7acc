"""Masks whose files say how numbers are to be shown, by the colours of a palette or spread over greys: the numbers."""

from __future__ import annotations

import re
import struct
import zlib
from typing import TYPE_CHECKING

from kdseg.data.containers import BITS, PNG, png_chunks, tiff_numbers
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from pathlib import Path

PALETTE = 3
"""The colour type of PNG (ISO/IEC 15948, table 11.1), and the photometric interpretation of TIFF."""
_WHITE_FIRST, _GREY = 0, 1
_PHOTOMETRIC, _SAMPLES = 262, 277
"""Tags of TIFF (6.0, section 8)."""
_OTHERWISE = re.compile(rb"GIF8|P[124]\s")
"""How files begin of which decoders give no numbers: GIF's are a palette's, a bitmap's 1 is black, text is spread."""


def plain_numbers(path: Path, content: bytes) -> tuple[bytes, int]:
    """Give a mask's file such that decoders give the numbers in it, and by what these are to be divided then.

    Raises:
        KdsegError: naming the file, where it is not sure which numbers are meant.
    """
    if content.startswith(PNG) and len(content) >= 33:  # noqa: PLR2004 (signature and header)
        depth, kind = struct.unpack_from("BB", content, 24)
        return (without_palette(content) if kind == PALETTE else content), spread(depth)
    if content.startswith(b"BM"):
        return _with_grey_palette(content), 1
    if _OTHERWISE.match(content):
        raise _unsure(path, "holds numbers of less than 8 bits, or with a palette")
    tags = tiff_numbers(content)
    if _PHOTOMETRIC not in tags or tags.get(_SAMPLES, (1, 0))[0] != 1:
        return content, 1
    (depth, _), (kind, place) = tags.get(BITS, (1, 0)), tags[_PHOTOMETRIC]
    if kind == _WHITE_FIRST or depth not in (1, 8, 16, 32, 64):
        raise _unsure(path, f"is a TIFF of {depth} bits" + (" whose 0 is white" if kind == _WHITE_FIRST else ""))
    if kind == PALETTE:
        grey = struct.pack("<H" if content.startswith(b"II") else ">H", _GREY)
        content = content[:place] + grey + content[place + 2 :]
    return content, spread(depth)


def spread(depth: int) -> int:
    """Give by how much decoders multiply numbers of fewer than 8 bits, so that the highest is white."""
    return 255 // (2**depth - 1) if depth < 8 else 1  # noqa: PLR2004 (bits of a byte)


def without_palette(content: bytes) -> bytes:
    """Make a PNG with a palette one of grey: its pixels are stored alike.

    OpenCV gives a palette's colours, never its indices. For 1280x720 this takes 1.5 ms with the decoding, Pillow 6.0.
    """
    chunks = [PNG]
    for name, chunk in png_chunks(content):
        if name == b"IHDR":
            header = chunk[4:17] + b"\0" + chunk[18:21]
            chunks.append(chunk[:4] + header + struct.pack(">I", zlib.crc32(header)))
        elif name not in (b"PLTE", b"tRNS"):
            chunks.append(chunk)
    return b"".join(chunks)


def _with_grey_palette(content: bytes) -> bytes:
    """Let each colour of a BMP's palette be the grey of its index; what has no palette stays."""
    if len(content) < 54:  # noqa: PLR2004 (headers)
        return content
    (size,) = struct.unpack_from("<I", content, 14)
    old = size == 12  # noqa: PLR2004 (of OS/2)
    (bits,) = struct.unpack_from("<H", content, 24 if old else 28)
    if bits > 8:  # noqa: PLR2004 (bits of a byte)
        return content
    count = 0 if old else struct.unpack_from("<I", content, 46)[0]
    greys = b"".join(bytes((index,) * 3 + (0,) * (not old)) for index in range(min(count or 2**bits, 2**bits)))
    place = 14 + size
    return content[:place] + greys + content[place + len(greys) :]


def _unsure(path: Path, found: str) -> KdsegError:
    return KdsegError(
        f"{path}: {found}, and programs disagree on the numbers of such files; save the masks as PNG, of 8-bit grey or "
        "with a palette"
    )
