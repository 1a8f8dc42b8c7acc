"""Shift and noise: what each option changes, and that it changes nothing else."""

from __future__ import annotations

import threading

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.components import DatasetContext
from kdseg.data.samples import IGNORE_INDEX
from kdseg_road import SynthRoad

NAMES = SynthRoad().class_table().names
OCCURRING = {*range(19)} - {NAMES.index("train"), NAMES.index("motorcycle")}
SHIFTS = [{"weather": "rain"}, {"weather": "fog"}, {"night": True}, {"weather": "rain", "night": True}]


def scenes(split="train", **options):
    return SynthRoad(**options).build(DatasetContext(split=split, seed=0))


def draw(count=40, split="train", **options):
    """Give images N×H×W×3 and masks N×H×W."""
    found = scenes(split, images=count, **options)
    drawn = [found[index] for index in range(count)]
    return np.stack([sample.image for sample in drawn]), np.stack([sample.mask for sample in drawn])


@pytest.fixture(scope="module")
def plain():
    return draw()


# Weather and night


@pytest.mark.parametrize("shift", SHIFTS, ids=str)
@pytest.mark.parametrize("split", ["train", "val"])
def test_weather_changes_pixels_and_no_label(shift, split):
    images, masks = draw(8, split)
    shifted, same = draw(8, split, **shift)
    assert (same == masks).all()
    assert shifted.dtype == np.uint8
    assert all((one != other).mean() > 0.5 for one, other in zip(images, shifted, strict=True))


@pytest.mark.parametrize(
    "shift", [*SHIFTS, {"label_flips": 0.3, "label_jitter": 2.0, "frequency": {"car": 0.5}}], ids=str
)
def test_it_stays_a_pure_function_of_the_index(shift):
    images, masks = draw(3, **shift)
    found, drawn = scenes(**shift), []
    thread = threading.Thread(target=lambda: drawn.extend(found[index] for index in (2, 1, 0, 2)))
    thread.start()
    thread.join()
    for index, sample in zip((2, 1, 0, 2), drawn, strict=True):
        assert (sample.image == images[index]).all()
        assert (sample.mask == masks[index]).all()


def contrast(image, rows):
    """The mean difference between neighbours, of grey."""
    return np.abs(np.diff(cv2.cvtColor(image[rows], cv2.COLOR_RGB2GRAY).astype(float))).mean()


def test_fog_hides_what_is_far_more_than_what_is_near(plain):
    """In the rows above the foot is what is near, at the horizon what is far."""
    foggy, _ = draw(weather="fog")
    far, near = slice(20, 32), slice(52, 64)
    left = {
        where: np.median(
            [contrast(fog, rows) / contrast(clear, rows) for clear, fog in zip(plain[0], foggy, strict=True)]
        )
        for where, rows in (("far", far), ("near", near))
    }
    assert left["far"] < 0.8 * left["near"] < 0.8


def test_a_night_is_dark_but_for_the_beam_and_the_lamps(plain):
    images, masks = plain
    nights, _ = draw(night=True)
    light = nights.mean(axis=-1) / np.maximum(images.mean(axis=-1), 20)
    assert light[masks == NAMES.index("sky")].mean() < 0.35
    assert light[masks == NAMES.index("traffic light")].mean() > 0.6
    road = [light[:, rows][masks[:, rows] == 0].mean() for rows in (slice(24, 36), slice(50, 64))]
    assert road[0] < road[1]


def test_rain_is_between_clear_and_fog(plain):
    rows = slice(20, 32)
    rainy, foggy = (draw(weather=weather)[0] for weather in ("rain", "fog"))
    clear, rain, fog = (np.median([contrast(image, rows) for image in images]) for images in (plain[0], rainy, foggy))
    assert fog < rain < clear


@settings(max_examples=20)
@given(
    height=st.integers(32, 120), width=st.integers(32, 160), index=st.integers(0, 1999), shift=st.sampled_from(SHIFTS),
    flips=st.floats(0, 1), jitter=st.floats(0, 50),
)  # fmt: skip
def test_any_size_gives_a_valid_sample(height, width, index, shift, flips, jitter):
    sample = scenes(size=(height, width), label_flips=flips, label_jitter=jitter, **shift)[index]
    assert (sample.image.shape, sample.mask.shape) == ((height, width, 3), (height, width))
    assert set(np.unique(sample.mask)) <= OCCURRING | {IGNORE_INDEX}


# Label noise


@pytest.mark.parametrize("noise", [{"label_flips": 0.5}, {"label_jitter": 3.0}], ids=str)
def test_noise_changes_labels_of_the_training_split_alone(plain, noise):
    images, masks = draw(**noise)
    assert (images == plain[0]).all()
    assert (masks != plain[1]).any()
    for split in ("val", "test"):
        assert (draw(4, split, **noise)[1] == draw(4, split)[1]).all()


def test_the_expected_share_of_wrong_pixels_is_what_was_asked_for():
    share, count = 0.2, 200
    _, clean = draw(count)
    _, noisy = draw(count, label_flips=share)
    per_image = ((noisy != clean) & (clean != IGNORE_INDEX)).sum((1, 2)) / (clean != IGNORE_INDEX).sum((1, 2))
    assert abs(per_image.mean() - share) < 4 * per_image.std() / count**0.5  # four standard errors
    assert ((noisy == IGNORE_INDEX) == (clean == IGNORE_INDEX)).all()


def test_a_region_flips_as_a_whole_and_to_any_other_class(plain):
    _, clean = plain
    _, noisy = draw(label_flips=1.0)
    assert not (noisy == clean)[clean != IGNORE_INDEX].any()
    assert set(np.unique(noisy)) == OCCURRING | {IGNORE_INDEX}
    for before, after in zip(clean, noisy, strict=True):
        for label in set(np.unique(before)) - {IGNORE_INDEX}:
            count, regions = cv2.connectedComponents((before == label).astype(np.uint8), connectivity=4)
            assert all(len(np.unique(after[regions == region])) == 1 for region in range(1, count))


def test_more_noise_adds_to_less(plain):
    """So that studies over the share are paired."""
    _, clean = plain
    little, much = (draw(label_flips=share)[1] for share in (0.2, 0.5))
    assert (much[little != clean] == little[little != clean]).all()


def test_jitter_changes_labels_near_boundaries(plain):
    _, clean = plain
    changed = []
    for pixels in (1.0, 3.0):
        _, noisy = draw(label_jitter=pixels)
        wrong = noisy != clean
        reach = np.ones((2 * int(5 * pixels) + 1,) * 2, np.uint8)
        for mask, there in zip(clean, wrong, strict=True):
            inside = cv2.dilate(mask, reach) == cv2.erode(mask, reach)
            assert not there[inside].any()  # five standard deviations from the nearest other label
        changed.append(wrong.mean())
    assert 0 < changed[0] < changed[1]


# Frequency


def counted(masks, name):
    return (masks == NAMES.index(name)).sum()


def test_rare_things_are_rarer_and_the_rest_stays(plain):
    images, masks = plain
    fewer, labels = draw(frequency={"truck": 0.3, "traffic light": 0.0})
    assert counted(labels, "traffic light") == 0
    assert 0 < counted(labels, "truck") < 0.7 * counted(masks, "truck")
    untouched = [index for index in range(40) if not np.isin(masks[index], [6, 14]).any()]
    assert untouched
    assert (fewer[untouched] == images[untouched]).all()
    assert (labels[masks == NAMES.index("person")] == NAMES.index("person")).all()  # in front as before
    for name in ("car", "sky", "vegetation"):
        assert counted(labels, name) >= counted(masks, name)  # what was hidden shows


def test_what_is_kept_at_a_low_frequency_is_kept_at_a_higher_one():
    low, high = (draw(frequency={"truck": kept})[1] == NAMES.index("truck") for kept in (0.2, 0.6))
    assert low.any()
    assert (high & low).sum() > 0.9 * low.sum()  # other trucks may hide some


def test_a_ridden_bicycle_is_as_rare_as_its_rider_and_the_reverse():
    _, masks = draw(frequency={"rider": 0.0})
    assert counted(masks, "rider") == 0
    assert counted(masks, "bicycle") > 0
    _, masks = draw(frequency={"bicycle": 0.0})
    assert counted(masks, "rider") == counted(masks, "bicycle") == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"frequency": {"truk": 0.1}}, "no thing is called 'truk'; did you mean 'truck'?"),
        ({"frequency": {"road": 0.1}}, "no thing is called 'road'"),
        ({"frequency": {"truck": 1.5}}, "'truck' must be in 0..1: 1.5"),
        ({"label_flips": 1.1}, "label_flips"),
        ({"label_jitter": -1.0}, "label_jitter"),
    ],
)
def test_what_cannot_be_is_refused(options, told):
    with pytest.raises(ValueError) as refused:
        SynthRoad(**options)
    assert told in str(refused.value)


def test_frequency_one_is_the_plain_scene(plain):
    images, masks = draw(frequency=dict.fromkeys(("truck", "car", "building"), 1.0))
    assert (images == plain[0]).all()
    assert (masks == plain[1]).all()
