"""What is counted of a file beside its network, and what is refused of it."""

from __future__ import annotations

import math

import pytest
import torch

from kdseg.engine.deploy.check import Comparison, Limits, refuse_loss
from kdseg.engine.deploy.images import spread
from kdseg.errors import KdsegError

LIMITS = Limits(least_equal=0.75, max_drop=1.0)


def compared(found):
    comparison = Comparison(num_classes=3)
    wanted = torch.tensor([[[0, 1], [1, 1]]], dtype=torch.uint8)
    comparison.add(wanted, torch.tensor([found], dtype=torch.uint8), torch.tensor([[[0, 1], [1, 255]]]))
    return comparison


def test_equal_pixels_and_the_mean_iou_of_both_are_counted():
    told = compared([[0, 1], [0, 2]]).told()
    assert told["images"] == 1
    assert told["equal_pixels"] == 0.5
    assert told["miou_before"] == 1.0
    assert told["miou_after"] == 0.5  # of each class half; the ignored pixel counts nowhere
    assert told["drop"] == 50.0
    assert told["max_error"] is None


def test_a_class_that_no_label_has_makes_no_drop():
    comparison = Comparison(num_classes=3)
    wanted, found, mask = torch.zeros(3, 1, 10, 100, dtype=torch.uint8)
    wanted[:, 5:] = found[:, 5:] = mask[:, 5:] = 1
    found[0, 0, 0] = 2
    comparison.add(wanted, found, mask.long())
    told = comparison.told()
    assert (told["miou_before"], told["miou_after"]) == (1.0, pytest.approx(0.999 * 2 / 3, abs=1e-3))
    assert told["drop"] == pytest.approx(0.1)


def test_images_without_labels_are_told():
    comparison = Comparison(num_classes=3)
    classes = torch.zeros(1, 2, 2, dtype=torch.uint8)
    comparison.add(classes, classes, torch.full((1, 2, 2), 255))
    with pytest.raises(KdsegError, match="no image of the check has a labelled pixel"):
        refuse_loss(comparison.told(), LIMITS, "fp32")


def test_the_largest_error_of_a_logit_is_kept_and_no_number_is_the_worst():
    comparison = compared([[0, 1], [1, 1]])
    comparison.add_logits(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5]))
    comparison.add_logits(torch.tensor([1.0, 2.0]), torch.tensor([1.25, 2.0]))
    assert comparison.told()["max_error"] == 0.5
    comparison.add_logits(torch.tensor([1.0]), torch.tensor([math.nan]))
    assert comparison.told()["max_error"] == math.inf


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ([[0, 1], [1, 0]], ""),
        (
            [[0, 1], [2, 2]],
            "50.0000% of pixels have the network's class, at least 75.00% must; the mean IoU of",
        ),
        ([[1, 1], [1, 1]], "the mean IoU of the labelled classes fell by 66.67 points; --max-drop 1 allows no more"),
        ([[0, 1], [9, 1]], "the mean IoU of the labelled classes fell by"),  # no class at all
    ],
)
def test_what_lost_too_much_is_refused(found, told):
    result = compared(found).told()
    if not told:
        refuse_loss(result, LIMITS, "fp32")
        return
    with pytest.raises(KdsegError, match=r"failed its check on 1 images: .*The likely reason") as error:
        refuse_loss(result, LIMITS, "int8")
    assert told in str(error.value)


def test_a_drop_that_is_no_number_is_refused():
    with pytest.raises(KdsegError, match="nan"):
        refuse_loss(compared([[0, 1], [1, 1]]).told() | {"drop": math.nan}, LIMITS, "bf16")


def test_images_are_spread_over_all():
    samples = [None] * 10
    assert spread(samples, 3) == [0, 3, 6]
    assert spread(samples, None) == spread(samples, 99) == [*range(10)]
