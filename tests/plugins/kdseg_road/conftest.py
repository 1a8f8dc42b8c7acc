"""Cityscapes and BDD100K on disk, in the layouts as downloaded, with all that lies beside what is read."""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Array = npt.NDArray[np.uint8]

CAMVID = os.environ.get("KDSEG_CAMVID")
BLOCK = 8


class Truth(NamedTuple):
    """What a test wrote into an image's files."""

    image: Array | None
    labels: Array
    instances: npt.NDArray[np.uint16] | None


def palette_png(indices: Array) -> bytes:
    """Encode a PNG of mode P with arbitrary colours, as ISO/IEC 15948 says; OpenCV cannot."""
    height, width = indices.shape
    colours = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", colours.tobytes()),
        (b"IDAT", zlib.compress(np.pad(indices, ((0, 0), (1, 0))).tobytes())),  # each row begins with its filter: none
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def write(path: Path, content: npt.NDArray[np.generic] | bytes | str) -> None:
    """Write an image as its suffix says, or content as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, np.ndarray):
        done, encoded = cv2.imencode(path.suffix, content)
        assert done
        content = encoded.tobytes()
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def scene(index: int, size: tuple[int, int]) -> Array:
    """Give an image H×W×3: a real one where there are some, else noise in blocks."""
    if CAMVID:
        files = sorted((Path(CAMVID) / "val").glob("*.png"))
        return np.asarray(cv2.resize(cv2.imread(str(files[index % len(files)])), size[::-1]), np.uint8)
    return blocks(np.random.default_rng(index), size, 0, 256, 3)


def blocks(generator: np.random.Generator, size: tuple[int, int], low: int, high: int, channels: int = 1) -> Array:
    """Give noise in blocks."""
    height, width = (-(-length // BLOCK) for length in size)
    cells = generator.integers(low, high, (height, width, channels), np.uint8)
    pixels = cells.repeat(BLOCK, 0).repeat(BLOCK, 1)[: size[0], : size[1]]
    return pixels if channels > 1 else pixels[..., 0]


@pytest.fixture(scope="session")
def make_cityscapes():
    """Make Cityscapes: ``make(root, {"train": {"aachen": 2}, "train_extra": {"augsburg": 1}})``."""

    def make(
        root: Path, parts: Mapping[str, Mapping[str, int]], size: tuple[int, int] = (64, 128), *, coarse: bool = False
    ) -> dict[str, Truth]:
        truth = {}
        for part, cities in parts.items():
            kinds = ("gtCoarse",) if part == "train_extra" else ("gtFine", "gtCoarse") if coarse else ("gtFine",)
            for city, count in cities.items():
                for frame in range(count):
                    stem = f"{city}_000000_{frame:06}"
                    image = scene(len(truth), size)
                    write(root / "leftImg8bit" / part / city / f"{stem}_leftImg8bit.png", image)
                    generator = np.random.default_rng([len(truth), 1])
                    for kind in kinds:
                        labels = blocks(generator, size, 0, 34)
                        labels[:2, :68] = np.repeat(np.arange(34, dtype=np.uint8), 2)  # each of them
                        labels[2:4] = 255
                        if part == "test":
                            labels = np.where(labels > 3, 0, labels).astype(np.uint8)
                        things = labels.astype(np.uint16)
                        things[(labels >= 24) & (labels <= 33)] *= 1000
                        folder = root / kind / part / city
                        write(folder / f"{stem}_{kind}_labelIds.png", labels)
                        write(folder / f"{stem}_{kind}_instanceIds.png", things)
                        write(folder / f"{stem}_{kind}_color.png", blocks(generator, size, 0, 256, 4))
                        write(folder / f"{stem}_{kind}_polygons.json", json.dumps({"objects": []}))
                        truth[f"{kind}/{stem}"] = Truth(image, labels, things)
        write(root / "leftImg8bit" / ".DS_Store", "")
        write(root / "README", "")
        for city in (root / "leftImg8bit").glob("*/*/"):
            write(city / f"._{city.name}_000000_000000_leftImg8bit.png", "")  # what some archivers leave
        return truth

    return make


@pytest.fixture(scope="session")
def make_bdd100k():
    """Make BDD100K: ``make(root, {"train": 2}, older=True)``."""

    def make(
        root: Path, splits: Mapping[str, int], size: tuple[int, int] = (72, 128), *, older: bool = False
    ) -> dict[str, Truth]:
        images, masks, colours = (
            ("seg/images", "seg/labels", "seg/color_labels")
            if older
            else ("images/10k", "labels/sem_seg/masks", "labels/sem_seg/colormaps")
        )
        truth = {}
        for split, count in splits.items():
            for index in range(count):
                stem = f"{len(truth):08x}-{index:08x}"
                image = scene(len(truth), size)
                write(root / images / split / f"{stem}.jpg", image)
                generator = np.random.default_rng([len(truth), 2])
                labels = blocks(generator, size, 0, 19)
                labels[:2] = 255
                truth[stem] = Truth(None, labels, None)
                if split != "test":
                    write(root / masks / split / f"{stem}{'_train_id' if older else ''}.png", palette_png(labels))
                    name = f"{stem}{'_train_color' if older else ''}.png"
                    write(root / colours / split / name, blocks(generator, size, 0, 256, 3 if older else 4))
            write(root / images / split / ".DS_Store", "")
        write(root / "labels/sem_seg/polygons/sem_seg_train.json", "[]")
        return truth

    return make
