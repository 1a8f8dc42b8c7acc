"""What a picture that cannot be decoded is told to be."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys

import cv2
import numpy as np
import pytest

from kdseg.data.image_files import read_rgb
from kdseg.errors import KdsegError

LIMIT = r"the most is 134217728 pixels: make it smaller, or set OPENCV_IO_MAX_IMAGE_PIXELS before kdseg starts"


def encoded(suffix, kind=np.uint8):
    done, content = cv2.imencode(suffix, np.zeros((16, 24, 3), kind))
    assert done
    return content.tobytes()


@pytest.mark.parametrize("suffix", [".bmp", ".jpg"])
def test_an_image_of_too_many_pixels_is_told_with_its_size_and_the_limit(tmp_path, suffix):
    content = encoded(suffix)
    if suffix == ".bmp":
        content = content[:18] + struct.pack("<ii", 20_000, -10_000) + content[26:]
    else:
        place = content.index(b"\xff\xc0") + 5
        content = content[:place] + struct.pack(">HH", 10_000, 20_000) + content[place + 4 :]
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(KdsegError, match=rf"x: is no image .*; its header says 10000x20000, and {LIMIT}"):
        read_rgb(tmp_path / "x", upright=True)


def test_one_whose_size_only_the_decoder_knows_is_told_with_the_limit(tmp_path):
    (tmp_path / "x.ppm").write_bytes(b"P6\n20000 10000\n255\n" + bytes(1000))
    with pytest.raises(KdsegError, match=rf"x\.ppm: is no image .*; it is large, and {LIMIT}"):
        read_rgb(tmp_path / "x.ppm", upright=True)


@pytest.mark.parametrize("first", ["kdseg.data.batches", "kdseg.mask_values.masks", "kdseg.charts"])
def test_the_limit_holds_whichever_module_loads_opencv(tmp_path, first):
    (tmp_path / "x.ppm").write_bytes(b"P6\n20000 10000\n255\n")
    program = f"""
import {first}
from pathlib import Path
from kdseg import KdsegError, read_rgb
try:
    read_rgb(Path("x.ppm"), upright=True)
except KdsegError as error:
    print(error)
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert re.fullmatch(rf"x\.ppm: is no image .*; it is large, and {LIMIT}\n", done.stdout)


@pytest.mark.parametrize(("kind", "bits"), [(np.float32, 32), (np.float64, 64), (np.int32, 32)])
def test_a_tiff_of_more_bits_than_are_taken_says_which_are(tmp_path, kind, bits):
    (tmp_path / "x.tif").write_bytes(encoded(".tif", kind))
    with pytest.raises(KdsegError, match=rf"x\.tif: is no .*; it has {bits} bits a channel: save it with 8 or 16"):
        read_rgb(tmp_path / "x.tif", upright=True)


def test_what_is_cut_short_may_be_truncated(tmp_path):
    (tmp_path / "x.png").write_bytes(encoded(".png")[:60])
    with pytest.raises(KdsegError, match=r"x\.png: is no image that can be decoded; it may be truncated"):
        read_rgb(tmp_path / "x.png", upright=True)
