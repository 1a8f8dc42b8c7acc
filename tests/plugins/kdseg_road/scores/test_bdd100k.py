"""The scores of BDD100K against its official evaluator, and against sums by hand."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch

from kdseg import IGNORE_INDEX, KdsegError
from kdseg.components import MetricContext
from kdseg_road.classes import CAMVID, CITYSCAPES
from kdseg_road.metrics import BDD100KMetric
from kdseg_road.scores.bdd100k import BDD100KMeasure

CASES = 240
CLASSES = np.arange(19)
EVERY = np.append(CLASSES, IGNORE_INDEX)


def case(seed):
    """A few images: their train ids and predicted values, all kinds of them."""
    rng = np.random.default_rng(seed)
    pools = [EVERY, EVERY, CLASSES, np.array([IGNORE_INDEX])]
    labels = pools[rng.integers(len(pools))]
    labels = rng.choice(labels, rng.choice([1, 3, len(labels)]))
    images = []
    for _ in range(rng.integers(1, 4)):
        shape = rng.integers(1, 24, 2)
        truth = rng.choice(labels, shape).astype(np.uint8)
        prediction = truth.copy()
        wrong = rng.random(shape) < rng.choice([0, 0.1, 0.5, 1])
        values = (labels, CLASSES, np.arange(256))[rng.integers(3)]
        prediction[wrong] = rng.choice(values, wrong.sum())
        images.append((truth, prediction))
    return images


def measured(images):
    measure = BDD100KMeasure(CITYSCAPES.names)
    for truth, prediction in images:
        measure.update(torch.from_numpy(prediction)[None], torch.from_numpy(truth)[None], [{}])
    return measure.compute()


def write(folder, images):
    for number, maps in enumerate(images):
        for name, values in zip(("masks", "results"), maps, strict=True):
            (folder / name).mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(folder / name / f"0a0a0b1a-{number:08}.png"), values)
    return folder / "masks", folder / "results"


def assert_agree(found, official, truth):
    """The evaluator gives 0, in percent, for classes that the truth lacks, and leaves them out of its means."""
    present = {CITYSCAPES.names[index] for index in set(truth.ravel()) - {IGNORE_INDEX}}
    for ours, theirs in (("iou_by_class", "IoU"), ("precision_by_class", "Acc")):
        for name in CITYSCAPES.names:
            if name in present:
                assert 100 * found[ours][name] == pytest.approx(official[theirs][name], abs=1e-9)
            else:
                assert math.isnan(found[ours][name])
    for ours, theirs in (("miou", "mIoU"), ("fiou", "fIoU"), ("pixel_accuracy", "pAcc"), ("precision", "mAcc")):
        assert 100 * found[ours] == pytest.approx(official[theirs], abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("seeds", [range(start, start + 20) for start in range(0, CASES, 20)], ids=str)
def test_scores_are_the_official_evaluator_s(official_bdd100k, tmp_path, seeds):
    for seed in seeds:
        images = case(seed)
        official = official_bdd100k(*write(tmp_path / str(seed), images))
        assert_agree(measured(images), official, np.concatenate([truth.ravel() for truth, _ in images]))


def test_the_cases_hit_every_rule():
    """What each case shows; a rule that fewer than five show would go untested."""
    shown = dict.fromkeys(
        (
            "ignored truth", "no truth at all", "one class", "several images", "class predicted but not true",
            "true class never predicted", "value of no class predicted", "all right", "prediction on ignored truth",
        ),
        0,
    )  # fmt: skip
    for seed in range(CASES):
        images = case(seed)
        truth, prediction = (np.concatenate([one[part].ravel() for one in images]) for part in range(2))
        ignored = truth == IGNORE_INDEX
        valid, answers = set(truth[~ignored]), set(prediction[~ignored])
        for rule, holds in zip(
            shown,
            (
                ignored.any(), not valid, len(valid) == 1, len(images) > 1, (answers & set(CLASSES)) - valid,
                valid - answers, max(answers, default=0) >= 19, (truth == prediction).all(),
                (prediction[ignored] < 19).any(),
            ),
            strict=True,
        ):  # fmt: skip
            shown[rule] += bool(holds)
    assert min(shown.values()) >= 5, shown


def test_means_are_over_the_classes_that_the_truth_holds():
    """Of eight pixels of road and two of sky, one road is taken for wall; an ignored pixel counts nowhere."""
    truth = np.array([[0] * 8 + [10] * 2 + [255]], np.uint8)
    prediction = np.array([[0] * 7 + [3] + [10] * 2 + [0]], np.uint8)
    found = measured([(truth, prediction)])
    assert found["miou"] == pytest.approx((7 / 8 + 1) / 2, abs=1e-12)
    assert found["fiou"] == pytest.approx(0.8 * 7 / 8 + 0.2, abs=1e-12)
    assert found["pixel_accuracy"] == pytest.approx(0.9, abs=1e-12)
    assert found["precision"] == 1
    assert math.isnan(found["iou_by_class"]["wall"])


def test_the_evaluator_s_own_tests_expect_the_same():
    """The counts and the expected numbers of its seg_test.py, for a prediction, and for one of two that is missing."""
    truth = np.array([[0] * 94 + [1] * 6], np.uint8)
    prediction = np.array([[0] * 93 + [1] + [0] * 4 + [1] * 2], np.uint8)
    missing = np.full_like(prediction, 255)
    for images, miou, fiou, accuracy in (
        ([(truth, prediction)], 61.73469387755102, 90.91836734693878, 95.0),
        ([(truth, prediction), (truth, missing)], 31.911057692307693, 46.45432692307692, 47.5),
    ):
        found = measured(images)
        expected = {"miou": miou, "fiou": fiou, "pixel_accuracy": accuracy, "precision": 81.27147766323024}
        assert {name: 100 * found[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_measures_of_several_processes_add_up():
    images = case(0) + case(5) + case(11)
    whole, one, other = (BDD100KMeasure(CITYSCAPES.names) for _ in range(3))
    for measure, part in ((whole, images), (one, images[::2]), (other, images[1::2])):
        for truth, prediction in part:
            measure.update(torch.from_numpy(prediction)[None], torch.from_numpy(truth)[None], [{}])
    for total, tensor, wanted in zip(one.tensors(), other.tensors(), whole.tensors(), strict=True):
        assert torch.equal(total + tensor, wanted)


def test_other_classes_are_told():
    with pytest.raises(KdsegError, match=r"the metric bdd100k scores the 19 classes road, .* the dataset has sky, "):
        BDD100KMetric().build(MetricContext(classes=CAMVID))
