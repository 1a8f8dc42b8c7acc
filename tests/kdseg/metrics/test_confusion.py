from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kdseg.data.samples import IGNORE_INDEX
from kdseg.errors import KdsegError
from kdseg.metrics.confusion import confusion_matrix, iou, mean_iou, pixel_accuracy, predicted_classes


def by_loop(prediction, target, classes):
    """The definition, pixel by pixel."""
    matrix = [[0] * classes for _ in range(classes)]
    for found, wanted in zip(prediction.ravel().tolist(), target.ravel().tolist(), strict=True):
        if wanted != IGNORE_INDEX:
            matrix[wanted][found] += 1
    return matrix


def iou_by_sets(prediction, target, classes):
    """Intersection over union of sets of pixels, as PASCAL VOC words it."""
    valid = [place for place, wanted in enumerate(target.ravel().tolist()) if wanted != IGNORE_INDEX]
    found = {place: int(prediction.ravel()[place]) for place in valid}
    wanted = {place: int(target.ravel()[place]) for place in valid}
    values = []
    for label in range(classes):
        one = {place for place in valid if found[place] == label}
        other = {place for place in valid if wanted[place] == label}
        values.append(len(one & other) / len(one | other) if one | other else math.nan)
    return values


@st.composite
def pictures(draw):
    classes = draw(st.integers(1, 6))
    shape = draw(st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(1, 5)))
    labels = st.integers(0, classes - 1)
    prediction = draw(arrays.arrays(np.int64, shape, elements=labels))
    target = draw(arrays.arrays(np.uint8, shape, elements=labels | st.just(IGNORE_INDEX)))
    return prediction, target, classes


@settings(deadline=None)
@given(pictures(), st.sampled_from([torch.uint8, torch.int32, torch.int64]))
def test_it_counts_as_a_loop_does(picture, dtype):
    prediction, target, classes = picture
    matrix = confusion_matrix(torch.from_numpy(prediction), torch.from_numpy(target).to(dtype), classes)
    assert matrix.dtype == torch.int64
    assert matrix.tolist() == by_loop(prediction, target, classes)


@settings(deadline=None)
@given(pictures())
def test_scores_are_those_of_sets_of_pixels(picture):
    prediction, target, classes = picture
    matrix = confusion_matrix(torch.from_numpy(prediction), torch.from_numpy(target), classes)
    expected = iou_by_sets(prediction, target, classes)
    assert np.allclose(iou(matrix).numpy(), expected, rtol=1e-15, equal_nan=True)
    present = [value for value in expected if not math.isnan(value)]
    assert np.isclose(mean_iou(matrix), np.mean(present) if present else math.nan, rtol=1e-14, equal_nan=True)
    valid = target != IGNORE_INDEX
    right = (prediction == target)[valid].mean() if valid.any() else math.nan
    assert np.isclose(pixel_accuracy(matrix), right, rtol=1e-15, equal_nan=True)


@settings(deadline=None)
@given(pictures(), st.integers(0, 3))
def test_parts_add_up_to_the_whole(picture, cut):
    prediction, target, classes = (torch.from_numpy(part) if isinstance(part, np.ndarray) else part for part in picture)
    parts = confusion_matrix(prediction[:cut], target[:cut], classes) + confusion_matrix(
        prediction[cut:], target[cut:], classes
    )
    assert torch.equal(parts, confusion_matrix(prediction, target, classes))


def test_closed_forms():
    matrix = torch.tensor([[3, 1, 0, 0], [2, 4, 0, 0], [0, 0, 0, 0], [0, 0, 5, 0]])
    assert iou(matrix).tolist()[:2] == [3 / 6, 4 / 7]
    assert iou(matrix).tolist()[2] == 0  # predicted, but absent from truth: it counts
    assert iou(matrix).tolist()[3] == 0
    assert mean_iou(matrix) == pytest.approx((3 / 6 + 4 / 7) / 4, rel=1e-15)
    assert pixel_accuracy(matrix) == 7 / 15


def test_a_class_absent_from_truth_and_prediction_is_not_averaged():
    matrix = torch.diag(torch.tensor([5, 0, 7]))
    assert math.isnan(iou(matrix)[1])
    assert mean_iou(matrix) == 1


def test_predicting_a_class_at_ignored_pixels_costs_nothing():
    target = torch.tensor([[0, IGNORE_INDEX]], dtype=torch.uint8)
    assert confusion_matrix(torch.tensor([[0, 1]]), target, 2).tolist() == [[1, 0], [0, 0]]


def test_nothing_counted_gives_nan():
    empty = confusion_matrix(torch.zeros(2, 2).int(), torch.full((2, 2), IGNORE_INDEX), 3)
    assert empty.tolist() == [[0] * 3] * 3
    assert math.isnan(mean_iou(empty))
    assert math.isnan(pixel_accuracy(empty))


def test_counts_beyond_float32_are_exact():
    """A run over Cityscapes counts 10^9 pixels; float32 stops counting by ones at 2^24."""
    step = torch.tensor([[2**24, 1], [1, 0]])
    total = sum([step] * 1000, torch.zeros(2, 2, dtype=torch.int64))
    assert total.tolist() == [[1000 * 2**24, 1000], [1000, 0]]
    assert iou(total)[0].item() == pytest.approx(2**24 / (2**24 + 2), rel=1e-15)
    assert pixel_accuracy(total) == pytest.approx(2**24 / (2**24 + 2), rel=1e-15)


@pytest.mark.parametrize("label", [3, 100, 254])
def test_a_label_out_of_range_is_an_error_and_never_ignored(label):
    target = torch.tensor([[0, 1, label]], dtype=torch.uint8)
    with pytest.raises(KdsegError, match=rf"the label {label}; labels go from 0 to 2, and 255 is ignored"):
        confusion_matrix(torch.zeros(1, 3).int(), target, 3)


def test_as_many_classes_as_labels_have_room_for():
    labels = torch.arange(255, dtype=torch.uint8)
    assert torch.equal(confusion_matrix(labels, labels, 255), torch.eye(255, dtype=torch.int64))


@settings(deadline=None)
@given(st.integers(1, 20), st.sampled_from([torch.float32, torch.bfloat16, torch.float64]), st.booleans())
def test_predicted_classes_are_those_of_the_largest_logits(classes, dtype, last):
    logits = torch.rand(2, 3, 4, classes, generator=torch.Generator().manual_seed(classes)).argsort(dim=-1).to(dtype)
    logits = logits.permute(0, 3, 1, 2)
    logits = logits if last else logits.contiguous()
    expected = [[[max(range(classes), key=pixel.__getitem__) for pixel in row] for row in image]
                for image in logits.permute(0, 2, 3, 1).tolist()]  # fmt: skip
    found = predicted_classes(logits)
    assert found.dtype == torch.uint8
    assert found.tolist() == expected
