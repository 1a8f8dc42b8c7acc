from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg_losses.supervised import MaxEntropyLoss

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())


def loss_of(logits, target):
    return MaxEntropyLoss()(Prediction(logits=torch.as_tensor(logits)), None, torch.as_tensor(target), CALL)


@given(st.integers(0, 1000), st.integers(2, 6))
def test_it_is_minus_the_entropy_of_the_wrong_pixels(seed, classes):
    numbers = np.random.default_rng(seed)
    logits = numbers.normal(0, 2, (2, classes, 3, 4))
    target = np.where(numbers.random((2, 3, 4)) < 0.3, IGNORE_INDEX, numbers.integers(0, classes, (2, 3, 4)))
    expected = 0.0
    for image, row, column in np.argwhere(target != IGNORE_INDEX):
        pixel = logits[image, :, row, column]
        if pixel.argmax() != target[image, row, column]:
            q = np.exp(pixel) / np.exp(pixel).sum()
            expected += sum(one * math.log(one) for one in q)
    assert loss_of(logits, target).item() == pytest.approx(expected, rel=1e-11)
    assert MaxEntropyLoss().count(torch.as_tensor(target)) == (target != IGNORE_INDEX).sum()  # the right ones too


def test_a_right_pixel_feels_nothing_and_a_wrong_one_grows_doubtful():
    logits = torch.tensor([[3.0, 3.0], [1.0, 1.0], [0.0, 0.0]]).view(1, 3, 1, 2).requires_grad_()
    loss_of(logits, torch.tensor([[[0, 1]]])).backward()
    right, wrong = logits.grad[0, :, 0].T
    assert not right.any()
    assert wrong[0] > 0 > wrong[1]  # descent lowers the likeliest class and raises the others


def test_a_label_among_the_likeliest_is_right():
    assert loss_of(torch.zeros(1, 3, 1, 3), torch.tensor([[[0, 1, 2]]])).item() == 0
