"""Images and masks damaged and odd: what comes is the truth, or an error that names the file."""

from __future__ import annotations

import os
import random
import resource
import struct
import sys
import zlib
from collections import Counter

import cv2
import numpy as np
import pytest

from kdseg.components import DatasetContext
from kdseg.data.image_files import read_labels, read_rgb
from kdseg.errors import KdsegError
from kdseg_road import CamVid

HEIGHT, WIDTH = 40, 56
IMAGE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8), (0, 0), 2)
LABELS = np.random.default_rng(1).integers(0, 12, (HEIGHT, WIDTH), np.uint8)
PALETTE = np.random.default_rng(2).integers(0, 256, (256, 3), np.uint8)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(pixels, depth=8, kind=2, *, extra=b"", size=None):
    """Write a PNG by hand: rows of bytes as the standard packs them."""
    height, width = size or (HEIGHT, WIDTH)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def interlaced(pixels):
    """Write an RGB PNG in Adam7's seven passes."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = b"".join(
        b"\0" + row.tobytes() for top, left, down, right in passes for row in pixels[top::down, left::right]
    )
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def exif(orientation):
    return b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + struct.pack("<I", orientation) + b"\0\0\0\0"


def animated(pixels):
    """Write an APNG whose first frame is the image."""
    control = struct.pack(">IIIIIHHBB", 0, WIDTH, HEIGHT, 0, 0, 1, 10, 0, 0)
    return png(pixels, extra=chunk(b"acTL", struct.pack(">II", 1, 0)) + chunk(b"fcTL", control))


def packed(values, depth):
    """Pack numbers of less than eight bits into bytes, the first highest."""
    bits = np.unpackbits(values[..., None], axis=2)[..., 8 - depth :]
    return np.packbits(bits.reshape(HEIGHT, -1), axis=1)


def jpeg(image, **more):
    assert not more
    return cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()


GREY = IMAGE[..., :1]
GREY_RGB = np.repeat(GREY, 3, axis=2)
FORMS = {
    "RGB": (png(IMAGE), IMAGE),
    "RGB of 16 bits": (png((IMAGE.astype(np.uint16) * 256 + 9).astype(">u2"), 16), IMAGE),
    "RGBA": (png(np.dstack([IMAGE, LABELS]), kind=6), IMAGE),
    "grey": (png(GREY, kind=0), GREY_RGB),
    "grey with alpha": (png(np.dstack([GREY, LABELS]), kind=4), GREY_RGB),
    "palette": (png(LABELS, kind=3, extra=chunk(b"PLTE", PALETTE.tobytes())), PALETTE[LABELS]),
    "palette of 4 bits": (
        png(packed(LABELS, 4), 4, 3, extra=chunk(b"PLTE", PALETTE[:16].tobytes())),
        PALETTE[LABELS],
    ),
    "one bit": (png(packed(LABELS % 2, 1), 1, 0), np.repeat((LABELS % 2 * 255)[..., None], 3, axis=2)),
    "interlaced": (interlaced(IMAGE), IMAGE),
    "animated": (animated(IMAGE), IMAGE),
    "turned by EXIF": (png(IMAGE, extra=chunk(b"eXIf", exif(6))), IMAGE),
}
MASKS = {
    "palette": png(LABELS, kind=3, extra=chunk(b"PLTE", PALETTE.tobytes())),
    "grey palette": png(LABELS, kind=3, extra=chunk(b"PLTE", np.repeat(np.arange(256, dtype=np.uint8), 3).tobytes())),
    "16 bits": png(LABELS.astype(">u2"), 16, 0),
    "4 bits": png(packed(LABELS, 4), 4, 0),
    "1 bit of zeros": png(packed(LABELS * 0, 1), 1, 0),
    "RGB": png(PALETTE[LABELS]),
    "RGB of labels": png(np.repeat(LABELS[..., None], 3, axis=2)),
    "grey with alpha": png(np.dstack([LABELS, LABELS]), kind=4),
    "a label out of range": png(LABELS + np.uint8(7), kind=0),
    "another size": png(LABELS[:, 1:], kind=0, size=(HEIGHT, WIDTH - 1)),
    "JPEG": cv2.imencode(".jpg", LABELS)[1].tobytes(),
    "empty": b"",
    "text": b"car road car",
}


@pytest.fixture
def pair(folder):
    """One image and its mask in CamVid's layout; give what the dataset makes of other bytes in their places."""

    def pair(image=None, mask=None, name="0001"):
        for split, content in (
            ("train", image or png(IMAGE)),
            ("trainannot", png(LABELS, kind=0) if mask is None else mask),
        ):
            (folder / split).mkdir(exist_ok=True)
            if content is not True:
                (folder / split / f"{name}.png").write_bytes(content)
        return CamVid(root=folder).build(DatasetContext(split="train", seed=0))[0]

    return pair


@pytest.mark.parametrize("form", FORMS)
def test_an_image_of_any_kind_is_read_as_it_is_stored(pair, form):
    content, truth = FORMS[form]
    assert np.array_equal(pair(content).image, truth)


def test_a_mask_is_read_number_by_number(pair):
    assert np.array_equal(pair().mask, np.where(LABELS == 11, 255, LABELS))


@pytest.mark.parametrize("form", MASKS)
def test_a_mask_of_any_other_kind_is_refused_by_name(pair, folder, form):
    with pytest.raises(KdsegError) as caught:
        pair(mask=MASKS[form])
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{folder}/trainannot/0001.png: ")


@pytest.mark.parametrize("name", ["a b", "ä", "道路", "-x", "x.y", "[x]", "%s"])
def test_names_of_any_kind_are_read(pair, name):
    assert pair(name=name).id == name


def test_what_is_no_file_is_told(pair, folder):
    pair()
    for place in ("folder", "pipe", "dangling link"):
        file = folder / "train" / "0001.png"
        file.rmdir() if file.is_dir() else file.unlink(missing_ok=True)
        {
            "folder": file.mkdir,
            "pipe": lambda f=file: os.mkfifo(f),
            "dangling link": lambda f=file: f.symlink_to("nowhere"),
        }[place]()
        with pytest.raises(KdsegError, match=r"train/0001\.png: (is no file|cannot be read)"):
            pair(image=True)


@pytest.mark.parametrize("side", [20_000, 60_000, 2**31 - 1])
def test_a_header_that_claims_more_than_any_memory_is_refused_without_taking_it(folder, side):
    path = folder / "bomb.png"
    path.write_bytes(png([np.zeros(3 * 20_000, np.uint8)] * 40, size=(side, side)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = (
        rf"bomb\.png: is no image that can be decoded; its header says {side}x{side}, and the most is 134217728 pixels"
    )
    with pytest.raises(KdsegError, match=told):
        read_rgb(path, upright=True)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_upright_where_people_look_at_it_and_as_stored_beside_a_mask(folder, orientation):
    plain = jpeg(IMAGE)
    segment = b"Exif\0\0" + exif(orientation)
    (folder / "x.jpg").write_bytes(plain[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + plain[2:])
    (folder / "plain.jpg").write_bytes(plain)
    stored = read_rgb(folder / "plain.jpg", upright=True)
    upright = {
        1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1],
        5: stored.transpose(1, 0, 2), 6: stored.transpose(1, 0, 2)[:, ::-1],
        7: stored[::-1, ::-1].transpose(1, 0, 2), 8: stored.transpose(1, 0, 2)[::-1],
    }[orientation]  # fmt: skip
    assert np.array_equal(read_rgb(folder / "x.jpg", upright=False), stored)
    assert np.array_equal(read_rgb(folder / "x.jpg", upright=True), upright)


def spoil(damage, path, read, content, truth, numbers):
    """Damage a file by number and read it: as the truth, otherwise, or not at all."""
    count = Counter()
    for number in numbers:
        path.write_bytes(damage(content, random.Random(number)))
        try:
            read_back = read(path)
        except KdsegError as error:
            told = str(error).removeprefix(str(path))
            count["refused" if told.startswith(": ") and told.isprintable() else f"told badly: {error}"] += 1
        else:
            count["true" if np.array_equal(read_back, truth) else "otherwise"] += 1
    return count


def sound(path):
    return read_rgb(path, upright=True)


def test_a_png_cut_anywhere_is_refused(folder):
    content = png(LABELS, kind=0)
    for length in range(0, len(content) - 12, 7):
        (folder / "x.png").write_bytes(content[:length])
        for read in (sound, read_labels):
            with pytest.raises(KdsegError, match=r"x\.png: is no "):
                read(folder / "x.png")


def test_a_jpeg_cut_anywhere_is_refused(folder):
    content = jpeg(IMAGE)
    for length in range(0, len(content) - 2, 3):
        (folder / "x.jpg").write_bytes(content[:length])
        with pytest.raises(KdsegError, match=r"x\.jpg: is no image"):
            sound(folder / "x.jpg")


def test_a_damaged_png_is_never_read_otherwise(folder, damage):
    count = spoil(damage, folder / "x.png", sound, png(IMAGE), IMAGE, range(150))
    count += spoil(damage, folder / "m.png", read_labels, png(LABELS, kind=0), LABELS, range(150))
    assert count.keys() <= {"refused", "true"}
    assert count["refused"] > 200


@pytest.mark.slow
def test_thousands_of_damaged_pictures_are_read_or_refused(folder, damage, capsys):
    told = []
    for name, content, read, truth in (
        ("image.png", png(IMAGE), sound, IMAGE),
        ("mask.png", png(LABELS, kind=0), read_labels, LABELS),
        ("interlaced.png", interlaced(IMAGE), sound, IMAGE),
        *(
            (f"x{ext}", cv2.imencode(ext, IMAGE[..., ::-1])[1].tobytes(), sound, IMAGE)
            for ext in (".jpg", ".bmp", ".tif", ".webp")
        ),
    ):
        count = spoil(damage, folder / name, read, content, truth, range(20_000, 25_000))
        told.append(f"{name}: {count.total()} inputs tried: {dict(count)}")
        assert not (name.endswith(".png") and count["otherwise"]), told[-1]
    with capsys.disabled():
        sys.stdout.write("\n".join(["", *told, ""]))
