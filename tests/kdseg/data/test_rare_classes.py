from __future__ import annotations

import itertools
import math
import pickle
from collections import Counter

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import chisquare

from kdseg.components import DatasetContext
from kdseg.data.augment import Augmentation
from kdseg.data.loader import train_steps
from kdseg.data.rare_classes import rare_classes
from kdseg.data.samples import Sample
from kdseg.data.scan import scan
from kdseg.errors import KdsegError
from kdseg_road import SynthRoad

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

COUNTS = np.array(
    [
        [9000, 900, 100, 0, 0],
        [8000, 1980, 20, 0, 0],
        [9980, 0, 0, 20, 0],
        [5000, 4800, 200, 0, 0],
        [9900, 0, 90, 10, 0],
        [0, 0, 0, 0, 0],
    ]
)
"""Of images of 100x100. Class 3 exceeds a share of 0.005 nowhere, class 4 occurs nowhere, image 5 is unlabelled."""
CROPS = [("RandomCrop", {"height": 12, "width": 12}), ("HorizontalFlip", {})]


def draws(counts=COUNTS, pixels=None, **changes):
    options = {"temperature": 0.3, "min_share": 0.005, "min_crop_share": 0.1, "attempts": 5}
    pixels = np.full(len(counts), 10_000) if pixels is None else pixels
    return rare_classes(counts, pixels, **(options | changes))


def probabilities(counts, temperature):
    """Hoyer et al. (2111.14887), over the classes that occur."""
    totals = [sum(int(row[number]) for row in counts) for number in range(len(counts[0]))]
    chances = [math.exp((1 - n / sum(totals)) / temperature) if n else 0.0 for n in totals]
    return [chance / sum(chances) for chance in chances]


def test_the_draws_have_the_formula_s_distribution():
    """Class and image together, over 60,000 draws; the unlabelled image keeps its sixth."""
    allowed = {0: [0, 1, 2, 3, 4], 1: [0, 1, 3], 2: [0, 3, 4], 3: [2, 4], 4: [], 5: [5]}
    chances = [5 / 6 * p for p in probabilities(COUNTS, 0.3)] + [1 / 6]
    expected = {(number, index): chances[number] / len(found) for number, found in allowed.items() for index in found}
    drawer = draws()
    found = Counter(
        (number, index) for epoch in range(10_000) for _, index, _, number in drawer.epoch(seed=7, epoch=epoch)
    )
    assert found.keys() == expected.keys()
    assert sum(found.values()) == 60_000
    assert chisquare([found[key] for key in expected], [60_000 * expected[key] for key in expected]).pvalue > 0.01


def test_at_the_published_temperature_rare_classes_come_most():
    chances = draws(temperature=0.01).probabilities
    assert chances[3] == pytest.approx(5 / 6 * probabilities(COUNTS, 0.01)[3], rel=1e-12)
    assert chances[3] > chances[2] > chances[1] > chances[0] > 0 == chances[4]


tables = arrays.arrays(np.int64, st.tuples(st.integers(1, 8), st.integers(1, 6)), elements=st.integers(0, 50))


@settings(deadline=None)
@given(
    tables.filter(np.any),
    st.integers(0, 30),
    st.sampled_from([1e-6, 0.01, 0.3, 100.0]),
    st.sampled_from([0.0, 0.0015, 0.2, 0.9]),
    st.integers(0, 50),
)
def test_every_draw_fits_its_class(counts, ignored, temperature, min_share, epoch):
    pixels = counts.sum(1) + ignored + 1
    drawer = draws(counts, pixels, temperature=temperature, min_share=min_share)
    found = drawer.epoch(seed=3, epoch=epoch)
    assert found == drawer.epoch(seed=3, epoch=epoch)
    assert [(number, position) for number, _, position, _ in found] == [(epoch, place) for place in range(len(counts))]
    assert drawer.probabilities.sum() == pytest.approx(1)
    assert (drawer.probabilities[:-1] > 0).sum() <= (counts.sum(0) > 0).sum()
    for _, index, _, number in found:
        if number == counts.shape[1]:
            assert counts[index].sum() == 0
        elif (counts[:, number] / pixels > min_share).any():
            assert counts[index, number] / pixels[index] > min_share
        else:
            assert counts[index, number] > 0


def test_labels_are_needed():
    with pytest.raises(KdsegError, match=r"data\.rare_classes: .* there are none"):
        draws(np.zeros((3, 4), np.int64))


class Scripted:
    """An augmentation that shows so many of 10 pixels of class 2, by attempt; it notes what it was asked."""

    def __init__(self, shown):
        self.shown, self.asked = shown, []

    def __call__(self, sample, epoch, index):
        self.asked.append((epoch, index))
        mask = np.zeros((1, 10), np.uint8)
        mask[0, : self.shown[len(self.asked) - 1]] = 2
        return evolve(sample, mask=mask, id=str(self.shown[len(self.asked) - 1]))


@pytest.mark.parametrize(
    ("whole", "shown", "kept", "attempts"),
    [
        (8, [5], "5", 1),
        (8, [0, 3, 7, 9], "7", 3),
        (8, [0, 3, 1, 2, 0], "3", 5),
        (2, [1, 2], "2", 2),  # no more than the whole image has is asked for
        (0, [0], "0", 1),
    ],
)
def test_crops_are_drawn_until_one_shows_enough(whole, shown, kept, attempts):
    sample = Sample(image=np.zeros((1, 10, 3), np.uint8), mask=np.array([[2] * whole + [0] * (10 - whole)]), id="")
    augmentation = Scripted(shown)
    assert draws(min_crop_share=0.5, attempts=5).view(sample, augmentation, 4, 6, 2).id == kept
    assert augmentation.asked == [(4, 30 + attempt) for attempt in range(attempts)]


def loaded(scenes, **changes):
    samples = scenes(count=11, unlabelled=(3,))
    found = scan(samples, 5)
    drawer = draws(found.labelled_pixels, found.pixels.sum(1), temperature=0.01, min_crop_share=0.3)
    options = {"seed": 7, "batch_size": 4, "micro_batches": 1, "last_step": 6, "workers": 0, "rare_classes": drawer}
    return list(train_steps(samples, Augmentation(CROPS, seed=7), **(options | changes)))


def content(steps):
    """Give each step's images, masks and ids, however they were shared out."""
    return [
        [
            (image.numpy().tobytes(), mask.numpy().tobytes(), name)
            for batch in step
            for image, mask, name in zip(batch.images, batch.masks, batch.ids, strict=True)
        ]
        for step in steps
    ]


def test_workers_micro_batches_processes_and_resumption_change_no_byte(scenes):
    whole = content(loaded(scenes))
    assert len(whole) == 6
    assert content(loaded(scenes, workers=2)) == whole
    assert content(loaded(scenes, micro_batches=4)) == whole
    assert content(loaded(scenes, first_step=3)) == whole[3:]
    ranks = [content(loaded(scenes, world=2, rank=rank)) for rank in range(2)]
    assert [list(itertools.chain(*shares)) for shares in zip(*ranks, strict=True)] == whole


def test_an_image_drawn_twice_is_cropped_twice(scenes):
    views = list(itertools.chain(*content(loaded(scenes, last_step=40))))
    assert len({name for *_, name in views}) <= 11
    assert len(set(views)) > 0.95 * len(views) > 150


def test_it_can_be_pickled():
    assert pickle.loads(pickle.dumps(draws())).epoch(1, 2) == draws().epoch(1, 2)


def test_on_road_scenes_the_rarest_class_is_seen_more_often():
    """Synthroad's shares lie close together, so its temperature is lower than the one for a long tail."""
    dataset = SynthRoad(size=(64, 128), images=60)
    samples = dataset.build(DatasetContext(split="train", seed=0))
    found = scan(samples, len(dataset.class_table()))
    totals = found.labelled_pixels.sum(0)
    rarest = int(np.where(totals > 0, totals, totals.max()).argmin())
    drawer = draws(found.labelled_pixels, found.pixels.sum(1), temperature=1e-3, min_share=0.0015, min_crop_share=0.02)
    crops = Augmentation([("RandomCrop", {"height": 32, "width": 64})], seed=0)
    holding = []
    for drawn in (None, drawer):
        steps = train_steps(
            samples, crops, seed=0, batch_size=6, micro_batches=1, last_step=10, workers=0, rare_classes=drawn
        )
        masks = np.concatenate([batch.masks.numpy() for step in steps for batch in step])
        holding.append(((masks == rarest).mean(axis=(1, 2)) >= 0.02).mean())
    assert holding[1] > 1.5 * holding[0], holding
