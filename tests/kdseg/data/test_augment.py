from __future__ import annotations

import inspect
import itertools
import os
import pickle
import random
import subprocess
import sys
import warnings

import cv2
import numpy as np
import pytest
from attrs import evolve

from kdseg.data.augment import Augmentation, make_transform
from kdseg.data.samples import IGNORE_INDEX, Sample
from kdseg.errors import KdsegError, OptionError

albumentations = pytest.importorskip("albumentations")

SIZE = (96, 128)

NEEDED = {
    "CenterCrop": {"height": 64, "width": 96},
    "Crop": {"x_max": 64, "y_max": 64},
    "CropAndPad": {"px": 8},
    "CropNonEmptyMaskIfExists": {"height": 64, "width": 96},
    "LongestMaxSize": {"max_size": 96},
    "RandomCrop": {"height": 64, "width": 96},
    "RandomResizedCrop": {"size": [64, 96]},
    "RandomSizedCrop": {"min_max_height": [40, 80], "size": [64, 96]},
    "Resize": {"height": 64, "width": 96},
    "SmallestMaxSize": {"max_size": 96},
}
"""The options that these cannot do without."""

NAMES = sorted(
    name
    for name, value in vars(albumentations).items()
    if inspect.isclass(value)
    and issubclass(value, (albumentations.BasicTransform, albumentations.BaseCompose))
    and not name.startswith("_")
)


@pytest.fixture(scope="module")
def sample() -> Sample:
    numbers = np.random.default_rng(0)
    image = cv2.resize(numbers.integers(0, 256, (12, 16, 3), dtype=np.uint8), SIZE[::-1])
    mask = cv2.resize(numbers.integers(1, 19, (6, 8), dtype=np.uint8), SIZE[::-1], interpolation=cv2.INTER_NEAREST)
    return Sample(image=image, mask=mask, id="street")


def reasons(transforms, seed=0):
    with pytest.raises(OptionError) as caught:
        Augmentation(transforms, seed)
    return dict(caught.value.problems)


def same(one: Sample, other: Sample) -> bool:
    return np.array_equal(one.image, other.image) and np.array_equal(one.mask, other.mask)


def usable(name):
    try:
        make_transform(name, NEEDED.get(name, {}))
    except OptionError:
        return False
    return True


USABLE = [name for name in NAMES if usable(name)]


def test_most_transforms_are_usable():
    assert len(USABLE) > 80


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(USABLE)))
def test_what_is_refused_is_refused_with_a_reason(name):
    (message,) = reasons([(name, NEEDED.get(name, {}))]).values()
    assert "cannot be used: it" in message or "instead" in message  # the latter: the library's own warning


@pytest.mark.parametrize("name", USABLE)
@pytest.mark.filterwarnings("ignore:Neither valid mask nor bboxes")
def test_every_usable_transform_keeps_the_contract(name, sample):
    """Sound, a pure function of (seed, epoch, index) whatever the global generators say, and inputs left alone."""
    options = NEEDED.get(name, {}) | {"p": 1.0}
    augmentation = Augmentation([(name, options)], seed=3)
    augmentation.check(sample)
    before = evolve(sample, image=sample.image.copy(), mask=sample.mask.copy())
    results = []
    for state in (0, 1):
        np.random.seed(state)  # noqa: NPY002 (whatever uses it must not matter)
        random.seed(state)
        cv2.setRNGSeed(state)
        results.append([augmentation(sample, epoch, index) for epoch, index in ((0, 0), (0, 1), (1, 0))])
    for one, other in zip(*results, strict=True):
        assert same(one, other)
        assert one.image.dtype == one.mask.dtype == np.uint8
        assert one.image.shape == (*one.mask.shape, 3)
        assert set(np.unique(one.mask)) <= {*np.unique(sample.mask), IGNORE_INDEX}
        assert one.id == sample.id
    assert same(before, sample)


@pytest.mark.parametrize("name", USABLE)
def test_every_default_can_be_stated_in_a_recipe(name):
    """With lists, as TOML has them, where the library writes tuples."""

    def plain(value):
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    stated = {
        key: plain(parameter.default)
        for key, parameter in inspect.signature(getattr(albumentations, name)).parameters.items()
        if parameter.default is not parameter.empty and parameter.default is not None
    }
    make_transform(name, stated | NEEDED.get(name, {}))


CHAIN = [
    ("RandomScale", {"scale_limit": [-0.3, 0.5]}),
    ("PadIfNeeded", {"min_height": 80, "min_width": 80}),
    ("RandomCrop", {"height": 80, "width": 80}),
    ("HorizontalFlip", {}),
    ("ColorJitter", {}),
    ("GaussNoise", {}),
    ("CoarseDropout", {}),
]


def test_order_of_calls_and_pickling_change_nothing(sample):
    keys = list(itertools.product(range(3), range(8)))
    augmentation = Augmentation(CHAIN, seed=7)
    expected = {key: augmentation(sample, *key) for key in keys}
    other = pickle.loads(pickle.dumps(augmentation))
    for key in random.Random(1).sample(keys, len(keys)):
        assert same(other(sample, *key), expected[key])


def test_seed_epoch_and_index_each_matter(sample):
    augmentation = Augmentation(CHAIN, seed=7)
    base = augmentation(sample, 0, 0)
    assert not same(base, augmentation(sample, 1, 0))
    assert not same(base, augmentation(sample, 0, 1))
    assert not same(base, Augmentation(CHAIN, seed=8)(sample, 0, 0))


def test_transforms_choose_independently(sample):
    """Three choices at 0.5 give 8 outcomes equally often: chi-square of 7 degrees of freedom, p < 1e-5 beyond 35.3."""
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0] = 200
    marked = Sample(image=image, mask=np.zeros((2, 2), np.uint8), id="mark")
    augmentation = Augmentation([("HorizontalFlip", {}), ("VerticalFlip", {}), ("InvertImg", {})], seed=11)
    counts = np.zeros(8, int)
    for epoch, index in itertools.product(range(4), range(1000)):
        result = augmentation(marked, epoch, index).image[..., 0]
        inverted = result.max() == 255
        row, column = np.argwhere(result == (55 if inverted else 200))[0]
        counts[4 * row + 2 * column + inverted] += 1
    expected = counts.sum() / 8
    assert ((counts - expected) ** 2 / expected).sum() < 35.3


def test_image_and_mask_move_together(sample):
    """Where the image is nothing but the mask's labels, they stay equal under every geometric transform."""
    painted = evolve(sample, image=np.repeat(sample.mask[..., None], 3, axis=2))
    transforms = [
        ("RandomScale", {"scale_limit": [-0.4, 0.8], "interpolation": 0, "p": 1.0}),
        ("Rotate", {"interpolation": 0, "fill": 255, "p": 1.0}),
        ("PadIfNeeded", {"min_height": 90, "min_width": 90, "fill": 255}),
        ("RandomCrop", {"height": 90, "width": 90}),
        ("HorizontalFlip", {}),
        ("Transpose", {}),
    ]
    augmentation = Augmentation(transforms, seed=0)
    for index in range(20):
        result = augmentation(painted, 0, index)
        assert (result.image == result.mask[..., None]).all()


def test_new_pixels_of_the_mask_are_ignored(sample):
    padded = Augmentation([("Pad", {"padding": 5, "p": 1.0})], seed=0)(sample, 0, 0)
    assert np.array_equal(padded.mask[5:-5, 5:-5], sample.mask)
    assert (np.delete(padded.mask.ravel(), np.flatnonzero(np.pad(np.ones(SIZE, bool), 5))) == IGNORE_INDEX).all()


def test_new_pixels_of_the_mask_are_a_class_where_asked(sample):
    padded = Augmentation([("Pad", {"padding": 5, "fill_mask": 0, "p": 1.0})], seed=0)
    padded.check(sample)
    assert (padded(sample, 0, 0).mask[:5] == 0).all()


def test_dropouts_leave_labels_beneath_their_holes_unless_asked(sample):
    holes = {"num_holes_range": [4, 4], "hole_height_range": [0.2, 0.2], "hole_width_range": [0.2, 0.2], "p": 1.0}
    kept = Augmentation([("CoarseDropout", holes)], seed=0)(sample, 0, 0)
    ignored = Augmentation([("CoarseDropout", holes | {"fill_mask": IGNORE_INDEX})], seed=0)(sample, 0, 0)
    assert np.array_equal(kept.mask, sample.mask)
    hidden = (kept.image != sample.image).any(axis=2)
    assert hidden.mean() > 0.05
    assert (ignored.mask[hidden] == IGNORE_INDEX).all()


def test_an_unlabelled_sample_is_ignored_everywhere(sample):
    for transforms in ([], CHAIN):
        result = Augmentation(transforms, seed=0)(evolve(sample, mask=None), 0, 0)
        assert (result.mask == IGNORE_INDEX).all()


@pytest.mark.parametrize("name", ["Normalize", "ToFloat", "ToTensorV2"])
def test_floats_are_refused_because_batches_travel_as_uint8(name):
    assert "normalised on the device" in reasons([(name, {})])["0.use"]


def test_all_problems_are_told_at_once_by_their_place():
    found = reasons(
        [
            ("HorizontalFlip", {"q": 0.5}),
            ("HorizntalFlip", {}),
            ("RandomCrop", {"height": 64}),
            ("OneOf", {}),
            ("Rotate", {"p": 1.5, "limit": True}),
            ("Blur", {"p": 1.5}),
        ]
    )
    assert found["0.q"] == "unknown key; known are p"
    assert "did you mean 'HorizontalFlip'?" in found["1.use"]
    assert found["2"] == "RandomCrop needs 'width'"
    assert "holds other transforms" in found["3.use"]
    assert "found True" in found["4.limit"]
    assert found["5.p"] == "Input should be less than or equal to 1; found 1.5"


@pytest.mark.parametrize(
    ("transforms", "key", "says"),
    [
        ([("RandomCrop", {"height": 97, "width": 97})], "0", "fails on an image of 96x128"),
        ([("Resize", {"height": 40, "width": 40}), ("RandomCrop", {"height": 64, "width": 64})], "1", "of 40x40"),
        ([("RandomScale", {"scale_limit": [-0.5, 1.0]}), ("RandomCrop", {"height": 96, "width": 96})], "1", "fails on"),
        ([("HorizontalFlip", {}), ("Rotate", {"mask_interpolation": 1})], "1", "writes labels that the mask did not"),
        ([("ToGray", {"num_output_channels": 1})], "0", "must stay uint8, HxWx3"),
    ],
)
def test_check_finds_what_no_signature_tells(transforms, key, says, sample):
    with pytest.raises(OptionError) as caught:
        Augmentation(transforms, seed=0).check(sample)
    ((where, message),) = caught.value.problems
    assert where == key
    assert says in message


def test_a_sample_that_a_transform_cannot_take_is_told_by_name(sample):
    augmentation = Augmentation([("RandomCrop", {"height": 97, "width": 97})], seed=0)
    with pytest.raises(KdsegError, match=r"data\.augment: fails on street \(96x128\)"):
        augmentation(sample, 0, 0)


def test_the_import_asks_no_network():
    code = """
import socket
def refuse(*_, **__):
    raise AssertionError("the network was asked")
socket.socket.connect = socket.getaddrinfo = refuse
import kdseg.data.augment
"""
    environment = {key: value for key, value in os.environ.items() if key != "NO_ALBUMENTATIONS_UPDATE"}
    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=environment)
    assert (run.returncode, run.stderr) == (0, "")


def test_set_random_seed_would_tie_transforms_together():
    """Why `set_random_state` is used: with the library's own seeding, three coins fall alike."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compose = albumentations.Compose([albumentations.HorizontalFlip(p=0.5) for _ in range(3)])
    outcomes = set()
    for seed in range(64):
        compose.set_random_seed(seed)
        outcomes.add(tuple(flip.py_random.random() < 0.5 for flip in compose.transforms))
    assert len(outcomes) == 2
