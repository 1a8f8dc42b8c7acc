"""Labels as they are stored: with a palette, of fewer bits, of 16 bits."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.data.image_files import read_ids, read_labels
from kdseg.errors import KdsegError

ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""Row, column and the steps down and across of each pass."""


def png(indices, depth, kind=3, *, interlaced=False, split=1):
    """Encode as ISO/IEC 15948 says, each row unfiltered."""
    height, width = indices.shape
    passes = [indices[y::down, x::across] for y, x, down, across in ADAM7] if interlaced else [indices]
    rows = b""
    for row in (row for part in passes if part.size for row in part):
        rows += b"\0" + np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - depth :].ravel()).tobytes()
    data = zlib.compress(rows)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, int(interlaced))),
        *([(b"PLTE", bytes(range(3, 3 + 3 * 2**depth)) if depth < 8 else bytes(768))] if kind == 3 else []),
        *([(b"tRNS", bytes(2**depth))] if kind == 3 else []),
        (b"tEXt", b"Comment\0PLTE and tRNS"),
        *((b"IDAT", data[i * len(data) // split : (i + 1) * len(data) // split]) for i in range(split)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


@settings(max_examples=60)
@given(
    height=st.integers(1, 40), width=st.integers(1, 40), depth=st.sampled_from([1, 2, 4, 8]), interlaced=st.booleans(),
    split=st.integers(1, 3), seed=st.integers(0, 99),
)  # fmt: skip
def test_indices_of_a_palette_are_what_was_written(tmp_path_factory, height, width, depth, interlaced, split, seed):
    indices = np.random.default_rng(seed).integers(0, 2**depth, (height, width), np.uint8)
    file = tmp_path_factory.mktemp("p") / "mask.png"
    file.write_bytes(png(indices, depth, interlaced=interlaced, split=split))
    assert cv2.imread(str(file), cv2.IMREAD_UNCHANGED).ndim == 3  # the colours, as every viewer sees it
    assert (read_labels(file, palette=True) == indices).all()
    with pytest.raises(KdsegError, match=r"mask\.png: is \d-bit palette; a mask is a PNG of 8-bit grey, the class"):
        read_labels(file)


@pytest.mark.parametrize("damage", ["bit", "length", "cut", "header"])
def test_a_damaged_palette_png_is_refused(tmp_path, damage):
    indices = np.random.default_rng(0).integers(0, 19, (64, 64), np.uint8)
    content = bytearray(png(indices, 8))
    place = content.index(b"IDAT") if damage != "header" else content.index(b"PLTE")
    if damage == "bit":
        content[place + 200] ^= 1
    elif damage == "cut":
        del content[place + 200 :]
    else:
        content[place - 4 : place] = struct.pack(">I", 2**31)
    (tmp_path / "mask.png").write_bytes(content)
    with pytest.raises(KdsegError, match=r"mask\.png"):
        read_labels(tmp_path / "mask.png", palette=True)


def test_grey_is_read_too_where_palettes_are_but_only_of_8_bits(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (9, 7), np.uint8)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    assert (read_labels(tmp_path / "grey.png", palette=True) == grey).all()
    (tmp_path / "four.png").write_bytes(png(grey // 16, 4, kind=0))
    with pytest.raises(KdsegError, match=r"four\.png: is 4-bit grey; .*, or with a palette"):
        read_labels(tmp_path / "four.png", palette=True)


@given(seed=st.integers(0, 99))
def test_ids_of_16_bits_are_what_was_written(tmp_path_factory, seed):
    ids = np.random.default_rng(seed).integers(0, 2**16, (9, 7), np.uint16)
    file = tmp_path_factory.mktemp("i") / "ids.png"
    cv2.imwrite(str(file), ids)
    read = read_ids(file)
    assert read.dtype == np.uint16
    assert (read == ids).all()
