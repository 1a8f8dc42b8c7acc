"""What is read of containers, against what Pillow writes into them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kdseg.data.containers import is_lossy, orientation, picture_size, tiff_numbers, webp_chunks

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8))


def saved(form, picture=PICTURE, **options):
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def turned(form, value, **options):
    """Write a picture whose EXIF data hold other tags, too."""
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    exif[0x0112] = value
    return saved(form, exif=exif, **options)


@pytest.mark.parametrize("value", range(10))
@pytest.mark.parametrize(
    ("form", "options"), [("JPEG", {}), ("PNG", {}), ("WEBP", {}), ("WEBP", {"lossless": True})], ids=str
)
def test_the_orientation_is_what_was_written(form, options, value):
    content = turned(form, value, **options)
    assert Image.open(io.BytesIO(content)).getexif()[0x0112] == value
    assert orientation(content) == (value if 1 <= value <= 8 else 1)
    assert orientation(saved(form, **options)) == 1


def test_either_order_of_bytes_and_fill_bytes_are_read():
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    segment = b"\xff\xff\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    plain = saved("JPEG")
    assert orientation(plain[:2] + segment + plain[2:]) == 6


@given(data=st.data())
@pytest.mark.parametrize(
    ("form", "options"), [("JPEG", {}), ("PNG", {}), ("WEBP", {}), ("TIFF", {}), ("TIFF", {"big_tiff": True})], ids=str
)
def test_damaged_files_end_the_search(form, options, data):
    content = bytearray(turned(form, 6, **options))
    for _ in range(4):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(content[: data.draw(st.integers(0, len(content)))])
    assert orientation(damaged) in range(1, 9)
    assert is_lossy(damaged) in (True, False)
    assert picture_size(damaged) is None or len(picture_size(damaged)) == 2


@pytest.mark.parametrize("lossless", [True, False])
def test_chunks_within_the_frames_of_a_webp_come_too(lossless):
    content = saved("WEBP", save_all=True, append_images=[PICTURE.rotate(180)], lossless=lossless)
    pixels = b"VP8L" if lossless else b"VP8 "
    assert [name for name, _ in webp_chunks(content)] == [b"VP8X", b"ANIM", b"ANMF", pixels, b"ANMF", pixels]


@pytest.mark.parametrize("form", ["plain", "exif", "frames", "alpha"])
@pytest.mark.parametrize("lossless", [True, False])
def test_a_lossy_webp_is_known_in_each_container(form, lossless):
    picture = PICTURE
    if form == "alpha":
        picture = PICTURE.copy()
        picture.putalpha(Image.fromarray(np.random.default_rng(1).integers(0, 256, (16, 24), np.uint8)))
    frames = {"save_all": True, "append_images": [PICTURE.rotate(180)]} if form == "frames" else {}
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    content = saved("WEBP", picture, lossless=lossless, **frames, **({"exif": exif} if form == "exif" else {}))
    assert (content[12:16] == b"VP8X") == (form in ("exif", "frames") or (form == "alpha" and not lossless))
    assert is_lossy(content) is not lossless


@pytest.mark.parametrize(
    ("form", "options", "lossy"),
    [
        ("JPEG", {}, True),
        ("TIFF", {"compression": "jpeg"}, True),
        ("TIFF", {"compression": "tiff_lzw"}, False),
        ("TIFF", {}, False),
        ("PNG", {}, False),
        ("BMP", {}, False),
        ("PPM", {}, False),
    ],
)
def test_other_formats_are_lossy_where_jpeg_is_in_them(form, options, lossy):
    assert is_lossy(saved(form, **options)) is lossy


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"big_tiff": True}),
    ],
    ids=str,
)
def test_the_size_is_that_which_was_written(form, options):
    content = saved(form, **options)
    assert picture_size(content) == (16, 24)
    for length in range(len(content)):
        assert picture_size(content[:length]) in (None, (16, 24))


def test_a_size_that_is_not_known_is_not_told():
    for content in (saved("WEBP"), saved("PPM"), b"", b"BM", b"no picture at all"):
        assert picture_size(content) is None


@pytest.mark.parametrize("mode", ["F", "I", "I;16", "L", "RGB"])
def test_the_first_number_of_a_tag_is_read_wherever_it_stands(mode):
    content = saved("TIFF", Image.new(mode, (24, 16)))
    bits, place = tiff_numbers(content)[258]
    assert bits == {"F": 32, "I": 32, "I;16": 16}.get(mode, 8)
    assert int.from_bytes(content[place : place + 2], "little") == bits


def test_what_is_made_to_take_forever_does_not():
    """Frames in frames, and a BigTIFF that claims more tags than there are."""
    frames = b"ANMF" + (2**30).to_bytes(4, "little") + bytes(16)
    assert not is_lossy(b"RIFF\0\0\0\0WEBP" + frames * 100_000)
    many = b"II+\0\x08\0\0\0" + (16).to_bytes(8, "little") + b"\xff" * 8
    assert is_lossy(many + bytes(20_000_000)) is False
    assert is_lossy(b"II+\0\x08\0\0\0" + b"\xff" * 30) is False
