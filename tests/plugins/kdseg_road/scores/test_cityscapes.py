"""The scores of Cityscapes against its official evaluator, and against sums by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch

from kdseg import IGNORE_INDEX, KdsegError
from kdseg.components import MetricContext
from kdseg.data.samples import ClassTable
from kdseg_road.cityscapes_labels import LABEL_IDS, LABELS, TRAIN_IDS
from kdseg_road.classes import CAMVID, CITYSCAPES
from kdseg_road.metrics import CityscapesMetric
from kdseg_road.scores.cityscapes import AVERAGE_SIZES, CityscapesMeasure

CASES = 240
THINGS = [label.id for label in LABELS if label.has_instances]
IGNORED = [label.id for label in LABELS if label.ignored]
TO_TRAIN = np.array([*TRAIN_IDS] + [IGNORE_INDEX] * (256 - len(TRAIN_IDS)), np.uint8)
TO_LABEL = np.array(LABEL_IDS, np.uint8)


def scene(rng, labels):
    """A map of H×W labels, in blocks that overlap."""
    height, width = rng.integers(1, 24, 2)
    truth = np.full((height, width), rng.choice(labels), np.uint8)
    for _ in range(rng.integers(0, 14)):
        top, left = rng.integers(0, height), rng.integers(0, width)
        truth[top : top + rng.integers(1, 12), left : left + rng.integers(1, 12)] = rng.choice(labels)
    return truth


def objects(rng, truth):
    """Instance ids: objects of one pixel, of many, in several pieces, and groups, which hold their label's id."""
    instances = truth.astype(np.uint16)
    for label in THINGS:
        where = truth == label
        number = rng.integers(0, rng.choice([1, 4, 400]) + 1, truth.shape).astype(np.uint16)
        stripes = np.broadcast_to(np.arange(truth.shape[1]) // 3, truth.shape).astype(np.uint16)
        ids = label * 1000 + (number if rng.random() < 0.5 else stripes)
        instances[where] = ids[where]
        group = where & (rng.random(truth.shape) < rng.choice([0, 0.3, 1], p=[0.6, 0.2, 0.2]))
        instances[group] = label
    return instances


def answer(rng, truth, labels):
    """A prediction: right, wrong in places, or of one class."""
    prediction = truth.copy()
    wrong = rng.random(truth.shape) < rng.choice([0, 0.1, 0.5, 1])
    prediction[wrong] = rng.choice(labels, wrong.sum())
    return prediction if rng.random() < 0.9 else np.full_like(truth, rng.choice(labels))


def case(seed):
    """A few images: their label ids, instance ids, and predicted label ids, all kinds of them."""
    rng = np.random.default_rng(seed)
    every = np.arange(len(LABELS))
    pools = [every, every, np.array(LABEL_IDS), np.array(THINGS), np.array([*THINGS, 0, 7]), np.array(IGNORED)]
    labels = pools[rng.integers(len(pools))]
    labels = rng.choice(labels, rng.choice([1, 3, len(labels)]))
    images = []
    for _ in range(rng.integers(1, 4)):
        truth = scene(rng, labels)
        predictable = every if rng.random() < 0.5 else np.append(labels, THINGS)
        images.append((truth, objects(rng, truth), answer(rng, truth, predictable)))
    return images


def write(folder, images):
    """Write the images as Cityscapes and its results lie on a disk."""
    (folder / "gtFine/val/ulm").mkdir(parents=True)
    (folder / "results").mkdir()
    for number, (truth, instances, prediction) in enumerate(images):
        name = f"ulm_{number:06}_000019"
        for path, values in (
            (f"gtFine/val/ulm/{name}_gtFine_labelIds.png", truth),
            (f"gtFine/val/ulm/{name}_gtFine_instanceIds.png", instances),
            (f"results/{name}_labelIds.png", prediction),
        ):
            assert cv2.imwrite(str(folder / path), values)
    return folder, folder / "results"


def measured(measure, images):
    for truth, instances, prediction in images:
        measure.update(torch.from_numpy(prediction)[None], torch.from_numpy(truth)[None], [{"instances": instances}])
    return measure.compute()


def in_train_ids(rng, images):
    """The same truth, with predictions that a network of 19 classes can make."""
    for truth, instances, prediction in images:
        made = TO_TRAIN[prediction]
        made = np.where(made == IGNORE_INDEX, rng.integers(0, 19, made.shape), made).astype(np.uint8)
        yield TO_TRAIN[truth], instances, made


def assert_agree(found, official):
    for mean, table, official_mean, official_table in (
        ("iou", "iou_by_class", "averageScoreClasses", "classScores"),
        ("iiou", "iiou_by_class", "averageScoreInstClasses", "classInstScores"),
        ("category_iou", "iou_by_category", "averageScoreCategories", "categoryScores"),
        ("category_iiou", "iiou_by_category", "averageScoreInstCategories", "categoryInstScores"),
    ):
        wanted = official[official_table]
        assert found[table] == pytest.approx({name: wanted[name] for name in found[table]}, abs=1e-9, nan_ok=True)
        assert all(math.isnan(value) for name, value in wanted.items() if name not in found[table])
        assert found[mean] == pytest.approx(official[official_mean], abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("seeds", [range(start, start + 20) for start in range(0, CASES, 20)], ids=str)
def test_label_ids_score_as_the_official_evaluator_says(official_cityscapes, tmp_path, seeds):
    for seed in seeds:
        images = case(seed)
        official = official_cityscapes(*write(tmp_path / str(seed), images))
        assert_agree(measured(CityscapesMeasure(range(34)), images), official)


@pytest.mark.parametrize("seeds", [range(start, start + 20) for start in range(0, CASES, 20)], ids=str)
def test_train_ids_score_as_their_label_ids_do_officially(official_cityscapes, tmp_path, seeds):
    for seed in seeds:
        originals = case(seed)
        images = list(in_train_ids(np.random.default_rng(seed), originals))
        written = [
            (truth, instances, TO_LABEL[prediction])
            for (truth, instances, _), (_, _, prediction) in zip(originals, images, strict=True)
        ]
        official = official_cityscapes(*write(tmp_path / str(seed), written))
        assert_agree(measured(CityscapesMetric().build(MetricContext(classes=CITYSCAPES)), images), official)


def test_the_cases_hit_every_rule():
    """What each case shows; a rule that fewer than five show would go untested."""
    shown = dict.fromkeys(
        (
            "ignored truth", "no truth at all", "one class", "several images", "class predicted but not true",
            "ignored id predicted", "caravan or trailer predicted", "group", "object of one pixel",
            "object that is ignored", "nothing right", "all right", "prediction on ignored truth",
        ),
        0,
    )  # fmt: skip
    for seed in range(CASES):
        images = case(seed)
        truth, instances, prediction = (np.concatenate([one[part].ravel() for one in images]) for part in range(3))
        ignored = np.isin(truth, IGNORED)
        valid, sizes = truth[~ignored], np.unique(instances[instances > 1000], return_counts=True)
        for rule, holds in zip(
            shown,
            (
                ignored.any(), not valid.size, len(set(truth)) == 1, len(images) > 1,
                set(prediction[~ignored]) & set(LABEL_IDS) - set(valid), np.isin(prediction[~ignored], IGNORED).any(),
                np.isin(prediction[~ignored], [29, 30]).any(), (np.isin(instances, THINGS)).any(),
                (sizes[1] == 1).any(), np.isin(sizes[0] // 1000, IGNORED).any(),
                valid.size and not (truth == prediction)[~ignored].any(), (truth == prediction).all(),
                (ignored & np.isin(prediction, LABEL_IDS)).any(),
            ),
            strict=True,
        ):  # fmt: skip
            shown[rule] += bool(holds)
    assert min(shown.values()) >= 5, shown


# By hand


def test_a_small_object_weighs_as_much_as_a_large_one():
    """Two persons of 1 and 9 pixels, the small one missed; one pixel of road is taken for a person."""
    truth = np.array([[11] * 10 + [0] * 2], np.uint8)
    instances = np.array([[24000] + [24001] * 9 + [7] * 2], np.uint16)
    prediction = np.array([[0] + [11] * 9 + [0, 11]], np.uint8)
    found = measured(CityscapesMeasure(), [(truth, instances, prediction)])
    size = AVERAGE_SIZES[24]
    assert found["iou_by_class"]["person"] == pytest.approx(9 / 11, abs=1e-12)
    assert found["iiou_by_class"]["person"] == pytest.approx(size / (2 * size + 1), abs=1e-12)
    assert found["iiou_by_category"]["human"] == found["iiou"] == found["iiou_by_class"]["person"]
    assert found["iou"] == pytest.approx((9 / 11 + 1 / 3) / 2, abs=1e-12)
    assert found["category_iou"] == pytest.approx((9 / 11 + 1 / 3) / 2, abs=1e-12)
    assert math.isnan(found["iiou_by_category"]["vehicle"])


def test_neither_order_nor_processes_change_a_bit():
    images = [image for seed in range(30) for image in in_train_ids(np.random.default_rng(seed), case(seed))]
    whole = CityscapesMeasure()
    measured(whole, images)
    for parts in (2, 7):
        spread = [CityscapesMeasure() for _ in range(parts)]
        for number, measure in enumerate(spread):
            measured(measure, images[number::parts][::-1])
        for one, other in pairwise(spread):  # as processes add up
            for total, tensor in zip(other.tensors(), one.tensors(), strict=True):
                total.add_(tensor)
        for total, tensor in zip(spread[-1].tensors(), whole.tensors(), strict=True):
            assert torch.equal(total, tensor)


def test_what_it_keeps_does_not_grow():
    measure = CityscapesMeasure()
    before = [tensor.shape for tensor in measure.tensors()]
    measured(measure, in_train_ids(np.random.default_rng(0), case(0)))
    assert [tensor.shape for tensor in measure.tensors()] == before
    assert sum(tensor.nbytes for tensor in measure.tensors()) < 20_000


def test_images_without_instance_ids_have_iou_alone():
    (truth, _, prediction), *_ = in_train_ids(np.random.default_rng(3), case(3))
    measure = CityscapesMeasure()
    measure.update(torch.from_numpy(prediction)[None], torch.from_numpy(truth)[None], [{}])
    found = measure.compute()
    assert math.isnan(found["iiou"])
    assert math.isnan(found["category_iiou"])
    assert all(math.isnan(value) for value in found["iiou_by_class"].values())


# What it cannot take


def test_some_images_without_instance_ids_are_told():
    maps = torch.zeros(3, 4, 4, dtype=torch.uint8)
    measure = CityscapesMeasure()
    measure.update(maps, maps, [{}, {"instances": np.full((4, 4), 7, np.uint16)}, {}])
    with pytest.raises(KdsegError, match=r"^2 of 3 images have no instance ids \(instanceIds\.png\)"):
        measure.compute()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (7001, "the instance id 7001 is of 'road', a label without instances"),
        (34000, "the instance id 34000 is of no label; those of Cityscapes lie below 34000"),
        (65535, "the instance id 65535 is of no label"),
    ],
)
def test_instance_ids_that_mean_nothing_are_told(value, told):
    maps = torch.zeros(1, 4, 4, dtype=torch.uint8)
    with pytest.raises(KdsegError, match=told):
        CityscapesMeasure().update(maps, maps, [{"instances": np.full((4, 4), value, np.uint16)}])


def test_instance_ids_of_another_size_are_told():
    maps = torch.zeros(1, 4, 4, dtype=torch.uint8)
    with pytest.raises(KdsegError, match=r"instance ids of \(8, 8\), a target of \(4, 4\)"):
        CityscapesMeasure().update(maps, maps, [{"instances": np.zeros((8, 8), np.uint16)}])


@pytest.mark.parametrize("classes", [CAMVID, ClassTable(names=CITYSCAPES.names[::-1], colours=CITYSCAPES.colours)])
def test_other_classes_are_told(classes):
    with pytest.raises(KdsegError, match="the metric cityscapes scores the 19 classes road, sidewalk"):
        CityscapesMetric().build(MetricContext(classes=classes))
