"""Crops and flips as views are, draw for draw, what albumentations makes of the same numbers."""

from __future__ import annotations

import random

import albumentations
import numpy as np
import pytest

from kdseg.data.augment import Augmentation, make_transform
from kdseg.data.loader import train_steps
from kdseg.data.moves import MOVES
from kdseg.data.samples import Sample
from kdseg.data.streams import stream

CROP = {"height": 16, "width": 20}
WIDE = {"height": 40, "width": 20, "pad_if_needed": True}
SINGLE = [
    ("HorizontalFlip", {}),
    ("HorizontalFlip", {"p": 1.0}),
    ("VerticalFlip", {"p": 0.3}),
    ("CenterCrop", CROP),
    ("CenterCrop", CROP | {"p": 0.5}),
    ("Crop", {"x_min": 3, "y_min": 2, "x_max": 30, "y_max": 19}),
    ("RandomCrop", CROP),
    ("RandomCrop", WIDE | {"pad_position": "random"}),
    ("RandomCrop", WIDE | {"border_mode": 4, "p": 0.7}),
    ("RandomCropFromBorders", {"crop_left": 0.4, "crop_bottom": 0.3}),
]
FLIPS = [("HorizontalFlip", {}), ("VerticalFlip", {})]
NOISE = ("GaussNoise", {"p": 0.5})
MIXED = [
    [("RandomCrop", CROP), *FLIPS],
    [*FLIPS, ("RandomCrop", CROP)],
    [*FLIPS, ("RandomCrop", WIDE), ("HorizontalFlip", {})],
    [("RandomCropFromBorders", {}), ("CenterCrop", CROP), *FLIPS, *FLIPS],
    [("RandomScale", {"scale_limit": [0.0, 0.5]}), ("RandomCrop", CROP), *FLIPS],
    [("RandomCrop", CROP), ("HorizontalFlip", {}), NOISE],
    [("HorizontalFlip", {}), NOISE, ("RandomCrop", CROP), ("VerticalFlip", {})],
    [NOISE, ("Rotate", {}), ("CoarseDropout", {}), ("HorizontalFlip", {}), ("RandomCrop", CROP)],
    [("Transpose", {}), ("RandomCrop", {"height": 18, "width": 18}), ("HorizontalFlip", {})],
    [],
]
CHAINS = [[one] for one in SINGLE] + MIXED


@pytest.fixture(scope="module")
def sample() -> Sample:
    numbers = np.random.default_rng(0)
    image = numbers.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    return Sample(image=image, mask=numbers.integers(0, 19, (24, 32), dtype=np.uint8), id="street")


class Plain:
    """What the library's own composition makes, from the same streams."""

    def __init__(self, transforms, seed):
        self.compose = albumentations.Compose([make_transform(use, options) for use, options in transforms])
        self.seed = seed

    def __call__(self, sample, epoch, index):
        start = stream(self.seed, "augment", epoch, index)
        self.compose.set_random_state(np.random.Generator(np.random.PCG64(start)), random.Random(start))
        return self.compose(image=sample.image, mask=sample.mask)


@pytest.mark.parametrize("transforms", CHAINS, ids=lambda chain: "-".join(use for use, _ in chain))
@pytest.mark.parametrize("seed", [0, 7])
def test_five_hundred_draws_are_the_library_s(transforms, seed, sample):
    augmentation, plain = Augmentation(transforms, seed), Plain(transforms, seed)
    for epoch, index in np.ndindex(2, 250):
        found, wanted = augmentation(sample, epoch, index), plain(sample, epoch, index)
        assert np.array_equal(found.image, wanted["image"])
        assert np.array_equal(found.mask, wanted["mask"])
        assert (found.image.dtype, found.mask.dtype) == (np.uint8, np.uint8)


def test_each_move_is_tried():
    assert {use for use, _ in SINGLE} == set(MOVES)


@pytest.mark.parametrize("transforms", MIXED[:2])
def test_nothing_is_copied(transforms, sample):
    for index in range(20):
        changed = Augmentation(transforms, 0)(sample, 0, index)
        assert np.shares_memory(changed.image, sample.image)
        assert np.shares_memory(changed.mask, sample.mask)


@pytest.mark.parametrize("transforms", [MIXED[0], MIXED[4], MIXED[5]])
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_batches_hold_what_the_library_makes(transforms, workers, scenes):
    samples, plain = scenes(count=8), Plain(transforms, 3)
    before = [samples[index] for index in range(8)]
    steps = train_steps(
        before, Augmentation(transforms, 3), seed=3, batch_size=4, micro_batches=1, last_step=40, workers=workers
    )
    for step, (batch,) in enumerate(steps):
        for image, mask, name in zip(batch.images, batch.masks, batch.ids, strict=True):
            index = int(name.removeprefix("scene"))
            wanted = plain(samples[index], step // 2, index)
            assert np.array_equal(image, wanted["image"])
            assert np.array_equal(mask, wanted["mask"])
            assert not np.shares_memory(image.numpy(), before[index].image)
    for index, one in enumerate(before):
        assert np.array_equal(one.image, samples[index].image)
        assert np.array_equal(one.mask, samples[index].mask)
