"""What picture files hold beside pixels: the parts that PNG, JPEG and WebP are made of, and how EXIF data turn them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
_ORIENTATION, _SHORT = 0x0112, 3
"""The tag and its type (TIFF 6.0, section 8)."""
_ENTRY = 12
"""Bytes of one tag."""
_AS_STORED = 1


def orientation(content: bytes) -> int:
    """Give how EXIF data say that a PNG, JPEG or WebP is to be turned, 1 to 8; 1 is not at all."""
    exif = next(_exif(content), b"").removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return _AS_STORED
    try:
        (place,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, place)
        for number in range(count):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, place + 2 + _ENTRY * number)
            if (tag, kind) == (_ORIENTATION, _SHORT):
                return value if value in range(1, 9) else _AS_STORED
    except struct.error:  # damaged: decoders leave it alone too
        pass
    return _AS_STORED


def _exif(content: bytes) -> Iterator[bytes]:
    if content.startswith(PNG):
        return (body for name, body in png_chunks(content) if name == b"eXIf")
    if content.startswith(JPEG):
        return (body for marker, body in _jpeg_segments(content) if marker == 0xE1 and body.startswith(b"Exif\0\0"))  # noqa: PLR2004 (APP1)
    return (body for name, body in webp_chunks(content) if name == b"EXIF")


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give name and body of each whole chunk of a PNG."""
    place = len(PNG)
    while place + 12 <= len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        place += 12 + length
        if place <= len(content):
            yield name, content[place - length - 4 : place - 4]


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Give marker and body of each segment that stands before a JPEG's pixels."""
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF:  # noqa: PLR2004 (begins a marker)
        marker, length = struct.unpack_from(">BH", content, place + 1)
        if marker == 0xFF:  # noqa: PLR2004 (fills up before the next)
            place += 1
            continue
        if marker == 0xDA:  # noqa: PLR2004 (start of scan)
            return
        yield marker, content[place + 4 : place + 2 + length]
        place += 2 + length


def webp_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give name and body of each chunk of a WebP, those within its frames too; nothing of another file."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        yield from _riff_chunks(content, 12)


def _riff_chunks(content: bytes, place: int) -> Iterator[tuple[bytes, bytes]]:
    while place + 8 <= len(content):
        name, length = struct.unpack_from("<4sI", content, place)
        body = content[place + 8 : place + 8 + length]
        yield name, body
        if name == b"ANMF":
            yield from _riff_chunks(body, 16)  # after the frame's place, size and time
        place += 8 + length + length % 2
