"""Drawn scenes: pure, valid, varied."""

from __future__ import annotations

import hashlib
import pickle
import threading
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.components import DatasetContext
from kdseg.data.samples import IGNORE_INDEX
from kdseg.testing import heavy_imports
from kdseg_road import SynthRoad

if TYPE_CHECKING:
    from kdseg.data.samples import Sample, Samples

UNUSED = {"train", "motorcycle"}
SMALLEST_SHARE = 0.003


def scenes(split: str = "train", recipe_seed: int = 0, **options: object) -> Samples:
    return SynthRoad(**options).build(DatasetContext(split=split, seed=recipe_seed))  # type: ignore[arg-type]


def pixels(sample: Sample) -> bytes:
    assert sample.mask is not None
    return sample.image.tobytes() + sample.mask.tobytes()


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    found = scenes(images=300)
    drawn = [found[index].mask for index in range(300)]
    return np.stack([mask for mask in drawn if mask is not None])


def test_an_image_is_a_pure_function_of_seed_split_and_index() -> None:
    first = [pixels(scenes()[index]) for index in range(4)]
    assert [pixels(scenes(recipe_seed=9)[index]) for index in reversed(range(4))] == first[::-1]
    assert pixels(pickle.loads(pickle.dumps(scenes()))[2]) == first[2]
    drawn: list[bytes] = []
    thread = threading.Thread(target=lambda: drawn.append(pixels(scenes()[3])))
    thread.start()
    thread.join()
    assert drawn == [first[3]]


@pytest.mark.skipif(not cv2.__version__.startswith("5.0"), reason="the hashes are of pictures by OpenCV 5.0")
@pytest.mark.parametrize(
    ("options", "split", "indices", "digest"),
    [
        ({}, "train", (0, 1, 2, 1999), "5eb1c835a2a649fa"),
        ({}, "val", (0, 99), "473e9fc8137fd43f"),
        ({"seed": 3}, "test", (5,), "f01d28d7602591bb"),
        ({"size": (96, 192)}, "train", (7, 8), "764db41c0531a39a"),
        ({"size": (33, 47)}, "train", (11,), "ad95c0ff1b792a87"),
    ],
)
def test_the_plain_scenes_are_those_of_the_first_release(
    options: dict[str, Any], split: str, indices: tuple[int, ...], digest: str
) -> None:
    """Hashes of before there was any weather."""
    found = scenes(split, **options)
    assert hashlib.sha256(b"".join(pixels(found[index]) for index in indices)).hexdigest()[:16] == digest


def test_splits_and_seeds_share_no_image() -> None:
    kinds = [scenes(), scenes("val"), scenes("test"), scenes(seed=1)]
    drawn = [pixels(found[index]) for found in kinds for index in range(10)]
    assert len(set(drawn)) == len(drawn)


def test_each_seed_of_the_data_gives_other_images_of_every_split() -> None:
    """None of which any seed has in another split: what a network is judged by, no other has trained on."""
    splits, seeds = ("train", "val", "test"), (None, 0, 1, 2)
    assert SynthRoad.draws
    drawn = [
        pixels(SynthRoad().build(DatasetContext(split=split, seed=3, data_seed=seed))[index])
        for split in splits
        for seed in seeds
        for index in range(5)
    ]
    assert len(set(drawn)) == len(drawn)
    again = SynthRoad().build(DatasetContext(split="val", seed=4, data_seed=2))
    assert pixels(again[4]) == drawn[5 * (len(seeds) + 3) + 4]


def test_how_many_images_a_split_has() -> None:
    assert [len(scenes(split)) for split in ("train", "val", "test")] == [2000, 100, 100]
    assert len(scenes("val", images=7)) == 7
    with pytest.raises(IndexError):
        _ = scenes(images=7)[7]


@settings(max_examples=25)
@given(height=st.integers(32, 200), width=st.integers(32, 200), index=st.integers(0, 1999))
def test_any_size_gives_a_valid_sample(height: int, width: int, index: int) -> None:
    sample = scenes(size=(height, width))[index]
    assert sample.mask is not None
    assert (sample.image.shape, sample.mask.shape) == ((height, width, 3), (height, width))
    assert sample.image.dtype == sample.mask.dtype == np.uint8
    assert set(np.unique(sample.mask)) <= {*range(19), IGNORE_INDEX}


def test_each_class_that_occurs_has_its_share(masks: np.ndarray) -> None:
    names = SynthRoad().class_table().names
    counts = np.bincount(masks.ravel(), minlength=256)[: len(names)]
    shares = dict(zip(names, counts / counts.sum(), strict=True))
    assert {name for name, share in shares.items() if share == 0} == UNUSED
    assert min(share for name, share in shares.items() if name not in UNUSED) >= SMALLEST_SHARE


def test_the_sky_is_above_the_road(masks: np.ndarray) -> None:
    names = SynthRoad().class_table().names
    rows = np.arange(masks.shape[1])[None, :, None] * np.ones_like(masks)
    height = {name: rows[masks == names.index(name)].mean() for name in ("sky", "building", "road")}
    assert height["sky"] < height["building"] < height["road"]


def test_the_road_narrows_with_distance(masks: np.ndarray) -> None:
    road = (masks == 0).mean(axis=(0, 2))
    near, far = road[-24:-12].mean(), road[-36:-24].mean()
    assert near > far > 0


def test_importing_the_plugin_loads_nothing_heavy() -> None:
    assert not heavy_imports("import kdseg_road")
