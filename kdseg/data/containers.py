"""What picture files hold beside pixels: how EXIF data turn them, and whether their compression has losses."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
_ORIENTATION, _AS_STORED = 0x0112, 1
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""JPEG's markers of what tells the size (ITU-T T.81, table B.1)."""
_COMPRESSION, _BY_JPEG = 259, (6, 7)
"""Of TIFF (6.0, section 22, and its Technical Note 2)."""
_WIDTH, _HEIGHT, BITS = 256, 257, 258
_MOST_TAGS = 2**16
_NUMBERS = {3: "H", 4: "I"}
"""The types of TIFF that hold whole numbers."""
_TIFF_FORMS = {
    magic: (order, *form)
    for order, magics in (("<", (b"II*\0", b"II+\0")), (">", (b"MM\0*", b"MM\0+")))
    for magic, form in zip(magics, (("I", 4, "H"), ("Q", 8, "Q")), strict=True)
}
"""Of TIFF and BigTIFF, by their first bytes: the order of bytes, the type of an offset, where the first offset stands,
and the type of the tags' count."""


def orientation(content: bytes) -> int:
    """Give how EXIF data say that a PNG, JPEG or WebP is to be turned, 1 to 8; 1 is not at all."""
    exif = next(_exif(content), b"").removeprefix(b"Exif\0\0")
    value, _ = tiff_numbers(exif).get(_ORIENTATION, (_AS_STORED, 0))
    return value if value in range(1, 9) else _AS_STORED


def tiff_numbers(content: bytes) -> dict[int, tuple[int, int]]:
    """Give the tags of a TIFF, or of EXIF data, that hold numbers: the first number of each, and where it stands."""
    form = _TIFF_FORMS.get(content[:4])
    numbers: dict[int, tuple[int, int]] = {}
    if form is None:
        return numbers
    order, offset, first, count = form
    room = struct.calcsize(offset)
    length = 4 + 2 * room  # tag, type, count, value or offset
    try:
        (place,) = struct.unpack_from(order + offset, content, first)
        (entries,) = struct.unpack_from(order + count, content, place)
        place += struct.calcsize(count)
        for entry in range(place, place + min(entries, _MOST_TAGS) * length, length):
            tag, kind, several = struct.unpack_from(f"{order}HH{offset}", content, entry)
            if kind in _NUMBERS:
                stands = entry + 4 + room
                if several * struct.calcsize(_NUMBERS[kind]) > room:
                    (stands,) = struct.unpack_from(order + offset, content, stands)
                numbers.setdefault(tag, (*struct.unpack_from(order + _NUMBERS[kind], content, stands), stands))
    except (struct.error, OverflowError):  # it ends early, or points beyond any file: what was there counts
        pass
    return numbers


def picture_size(content: bytes) -> tuple[int, int] | None:
    """Give height and width as the header of a PNG, JPEG, BMP or TIFF tells them; None where it does not."""
    try:
        if content.startswith(PNG):
            width, height = struct.unpack_from(">II", content, 16)
        elif content.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", content, 18)
        elif content.startswith(JPEG):
            height, width = next(
                struct.unpack_from(">HH", body, 1) for marker, body in _jpeg_segments(content) if marker in _FRAMES
            )
        else:
            tags = tiff_numbers(content)
            (height, _), (width, _) = tags[_HEIGHT], tags[_WIDTH]
    except (struct.error, StopIteration, KeyError):
        return None
    return abs(height), width  # a BMP whose rows begin at the top counts them below 0


def _exif(content: bytes) -> Iterator[bytes]:
    if content.startswith(PNG):
        return (chunk[8:-4] for name, chunk in png_chunks(content) if name == b"eXIf")
    if content.startswith(JPEG):
        return (body for marker, body in _jpeg_segments(content) if marker == 0xE1 and body.startswith(b"Exif\0\0"))  # noqa: PLR2004 (APP1)
    return (body for name, body in webp_chunks(content) if name == b"EXIF")


def is_lossy(content: bytes) -> bool:
    """Whether pixels were compressed with losses, as JPEG does it, WebP may, and TIFF with JPEG inside."""
    compression, _ = tiff_numbers(content).get(_COMPRESSION, (0, 0))
    return (
        content.startswith(JPEG) or compression in _BY_JPEG or any(name == b"VP8 " for name, _ in webp_chunks(content))
    )


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give each whole chunk of a PNG by its name: length, name, body and checksum."""
    place = len(PNG)
    while place + 12 <= len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        chunk, place = content[place : place + 12 + length], place + 12 + length
        if place <= len(content):
            yield name, chunk


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
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        return
    for name, body in _riff_chunks(content, 12):
        yield name, body
        if name == b"ANMF":
            yield from _riff_chunks(body, 16)  # after the frame's place, size and time


def _riff_chunks(content: bytes, place: int) -> Iterator[tuple[bytes, bytes]]:
    while place + 8 <= len(content):
        name, length = struct.unpack_from("<4sI", content, place)
        yield name, content[place + 8 : place + 8 + length]
        place += 8 + length + length % 2
