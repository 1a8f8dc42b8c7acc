"""Masks with palettes or of one bit are the same numbers in each format that can say so, and refused in others."""

from __future__ import annotations

import struct
from contextlib import suppress

import cv2
import numpy as np
import pytest
from PIL import Image

from kdseg.data.image_files import read_colours, read_numbers
from kdseg.errors import KdsegError

RNG = np.random.default_rng(0)
BIT = RNG.integers(0, 2, (13, 21), np.uint8)
INDICES = RNG.integers(0, 256, (13, 21), np.uint8)
GREYS = [(index * 37 % 256,) * 3 for index in range(256)]
COLOURS = [(index, 255 - index, index * 7 % 256) for index in range(256)]

FORMS = [("x.png", {}), ("x.bmp", {}), ("x.tif", {}), ("x.tif", {"big_tiff": True})]


def paletted(indices, colours):
    picture = Image.fromarray(indices, "P")
    picture.putpalette([channel for colour in colours for channel in colour])
    return picture


def tiff(values, bits, photometric, order):
    """Write an uncompressed TIFF as its specification (6.0) says; palettes are of `GREYS`."""
    height, width = values.shape
    pixels = np.packbits(np.unpackbits(values[..., None], axis=2)[..., 8 - bits :].reshape(height, -1), axis=1)
    numbers = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 2048, 277: 1, 278: height}
    numbers[279] = pixels.nbytes
    fields = [struct.pack(f"{order}HHIHH", tag, 3, 1, number, 0) for tag, number in numbers.items()]
    if photometric == 3:
        fields.append(struct.pack(f"{order}HHII", 320, 3, 3 * 2**bits, 256))
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HIH", 42, 8, len(fields)) + b"".join(fields)
    colours = struct.pack(f"{order}{3 * 2**bits}H", *[grey * 257 for grey, *_ in GREYS[: 2**bits]] * 3)
    return (head.ljust(256, b"\0") + colours).ljust(2048, b"\0") + pixels.tobytes()


@pytest.mark.parametrize(("name", "options"), [*FORMS, ("x.tif", {"compression": "group4"})])
def test_one_bit_is_0_and_1(tmp_path, name, options):
    Image.fromarray(BIT.astype(bool)).save(tmp_path / name, **options)
    assert np.array_equal(read_numbers(tmp_path / name), BIT)
    assert np.array_equal(read_colours(tmp_path / name), np.stack([BIT * 255] * 3, 2))


@pytest.mark.parametrize("colours", [GREYS, COLOURS], ids=["greys", "colours"])
@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("x.png", {}),
        ("x.bmp", {}),
        ("x.tif", {}),
        ("x.tif", {"compression": "tiff_lzw"}),
        ("x.tif", {"big_tiff": True}),
    ],
)
def test_indices_of_palettes_count_whatever_the_colours(tmp_path, name, options, few, colours):
    indices = INDICES % 4 if few else INDICES
    picture = paletted(indices, colours[:4] if few else colours)
    picture.save(tmp_path / name, **options)
    assert np.array_equal(read_numbers(tmp_path / name), indices)
    assert np.array_equal(read_colours(tmp_path / name), np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("suffix", ["bmp", "tif", "webp", "pgm"])
def test_grey_stays_as_it_is_stored(tmp_path, suffix):
    Image.fromarray(INDICES).save(tmp_path / f"x.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    assert np.array_equal(read_numbers(tmp_path / f"x.{suffix}"), INDICES)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("bits", "photometric"), [(1, 1), (1, 3), (8, 1), (8, 3)])
def test_either_order_of_bytes_is_read(tmp_path, bits, photometric, order):
    values = INDICES >> (8 - bits)
    (tmp_path / "x.tif").write_bytes(tiff(values, bits, photometric, order))
    assert np.array_equal(read_numbers(tmp_path / "x.tif"), values)


@pytest.mark.parametrize(
    ("bits", "photometric", "told"),
    [(4, 1, "4 bits"), (4, 3, "4 bits"), (1, 0, "1 bits whose 0 is white"), (8, 0, "8 bits whose 0 is white")],
)
def test_a_tiff_that_programs_read_differently_is_refused(tmp_path, bits, photometric, told):
    (tmp_path / "x.tif").write_bytes(tiff(INDICES >> (8 - bits), bits, photometric, "<"))
    with pytest.raises(KdsegError, match=rf"x\.tif: is a TIFF of {told}, .*; save the masks as PNG, of 8-bit grey or"):
        read_numbers(tmp_path / "x.tif")


@pytest.mark.parametrize(
    "content", [b"P4\n8 1\n\x0f", b"P1\n4 1\n0 1 0 1\n", b"P2\n4 1\n3\n0 1 2 3\n", "gif"], ids=["P4", "P1", "P2", "gif"]
)
def test_other_formats_whose_numbers_are_spread_or_shown_otherwise_are_refused(tmp_path, content):
    if content == "gif":
        paletted(INDICES, GREYS).save(tmp_path / "x.gif")
    else:
        (tmp_path / "x.gif").write_bytes(content)
    with pytest.raises(
        KdsegError, match=r"x\.gif: holds numbers of less than 8 bits, or with a palette, and .* as PNG"
    ):
        read_numbers(tmp_path / "x.gif")


def test_a_damaged_bmp_is_refused_or_read_but_never_an_accident(tmp_path):
    paletted(INDICES % 4, GREYS[:4]).save(tmp_path / "whole.bmp")
    content = (tmp_path / "whole.bmp").read_bytes()
    for place in range(2, 58):
        for value in (0, 1, 127, 255):
            (tmp_path / "x.bmp").write_bytes(content[:place] + bytes([value]) + content[place + 1 :])
            with suppress(KdsegError):
                assert read_numbers(tmp_path / "x.bmp").dtype == np.uint8


def test_16_bits_stay(tmp_path):
    deep = RNG.integers(0, 2**16, (9, 7), np.uint16)
    cv2.imwrite(str(tmp_path / "x.tif"), deep)
    assert np.array_equal(read_numbers(tmp_path / "x.tif"), deep)


def test_a_lossy_mask_is_refused_in_the_extended_container_of_webp_too(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    Image.fromarray(INDICES).convert("RGB").save(tmp_path / "x.webp", exif=exif)
    for read in (read_numbers, read_colours):
        with pytest.raises(KdsegError, match=r"x\.webp: is compressed with losses, as JPEG is"):
            read(tmp_path / "x.webp")
