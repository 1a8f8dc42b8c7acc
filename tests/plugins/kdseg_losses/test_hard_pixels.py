"""Focal loss and hard example mining against their papers' formulas, pixel by pixel, in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.components import LossContext
from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg_losses.components.supervised import Focal, OHEMCrossEntropy
from kdseg_losses.supervised import CrossEntropyLoss, FocalLoss, OHEMCrossEntropyLoss

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())


def pixels(logits, target):
    """Give, for each image, the (class, probability of that class) of its valid pixels."""
    images = []
    for outputs, mask in zip(logits, target, strict=True):
        found = []
        for row in range(mask.shape[0]):
            for column in range(mask.shape[1]):
                label = mask[row, column]
                if label != IGNORE_INDEX:
                    powers = [math.exp(value) for value in outputs[:, row, column]]
                    found.append((label, powers[label] / sum(powers)))
        images.append(found)
    return images


def focal_formula(logits, target, weights, gamma):
    """Lin et al. (1708.02002), equation 5."""
    return sum(
        -weights[label] * (1 - p) ** gamma * math.log(p) for image in pixels(logits, target) for label, p in image
    )


def ohem_formula(logits, target, weights, threshold, keep):
    """Hard pixels by a sorted list, image by image."""
    total = 0.0
    for image in pixels(logits, target):
        valid = [(label, p) for label, p in image if weights[label] > 0]
        least = max(1, math.ceil(keep * len(valid)))
        hard = sorted(valid, key=lambda pixel: pixel[1])
        hard = [pixel for number, pixel in enumerate(hard) if pixel[1] < threshold or number < least]
        if hard:
            mean = sum(-weights[label] * math.log(p) for label, p in hard) / sum(weights[label] for label, _ in hard)
            total += mean * sum(weights[label] for label, _ in valid)
    return total


@st.composite
def problems(draw):
    classes = draw(st.integers(2, 5))
    numbers = np.random.default_rng(draw(st.integers(0, 1000)))
    logits = numbers.normal(0, 2, (2, classes, 3, 4))
    target = numbers.integers(0, classes, (2, 3, 4))
    target[numbers.random(target.shape) < draw(st.sampled_from([0.0, 0.3, 0.9]))] = IGNORE_INDEX
    weights = numbers.uniform(0.1, 3, classes).astype(np.float32) if draw(st.booleans()) else None
    if weights is not None and draw(st.booleans()):
        weights[0] = 0
    return logits, target, weights


def value(module, logits, target):
    return module(Prediction(logits=torch.from_numpy(logits)), None, torch.from_numpy(target), CALL)


def plain(weights, logits):
    return np.ones(logits.shape[1]) if weights is None else weights.astype(np.float64)


@settings(deadline=None)
@given(problems(), st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]))
def test_focal_is_the_formula(problem, gamma):
    logits, target, weights = problem
    expected = focal_formula(logits, target, plain(weights, logits), gamma)
    assert value(FocalLoss(weights, gamma), logits, target).item() == pytest.approx(expected, rel=1e-11, abs=1e-300)


@settings(deadline=None)
@given(problems())
def test_focal_with_gamma_0_is_cross_entropy(problem):
    logits, target, weights = problem
    focal, plain_loss = FocalLoss(weights, 0.0), CrossEntropyLoss(weights, 0.0)
    assert torch.allclose(value(focal, logits, target), value(plain_loss, logits, target), rtol=1e-13)
    assert focal.count(torch.from_numpy(target)) == plain_loss.count(torch.from_numpy(target))


@pytest.mark.parametrize("gamma", [0.0, 0.01, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("logit", [-1e4, -30.0, 0.0, 30.0, 1e4])
def test_focal_has_a_finite_gradient_where_a_pixel_is_sure(gamma, logit):
    logits = torch.tensor([[[[logit]], [[0.0]]]], requires_grad=True)
    FocalLoss(None, gamma)(Prediction(logits=logits), None, torch.zeros(1, 1, 1), CALL).backward()
    assert torch.isfinite(logits.grad).all()
    if logit == 1e4:
        assert (logits.grad == 0).all()


@settings(deadline=None)
@given(problems(), st.sampled_from([0.05, 0.7, 0.9, 1.0]), st.sampled_from([0.0, 0.0625, 0.5, 1.0]))
def test_ohem_is_the_formula(problem, threshold, keep):
    logits, target, weights = problem
    expected = ohem_formula(logits, target, plain(weights, logits), threshold, keep)
    found = value(OHEMCrossEntropyLoss(weights, threshold, keep), logits, target)
    assert found.item() == pytest.approx(expected, rel=1e-11)


@settings(deadline=None)
@given(problems(), st.sampled_from([0.05, 0.7]))
def test_ohem_that_keeps_all_is_cross_entropy(problem, threshold):
    logits, target, weights = problem
    ohem, plain_loss = OHEMCrossEntropyLoss(weights, threshold, 1.0), CrossEntropyLoss(weights, 0.0)
    assert torch.allclose(value(ohem, logits, target), value(plain_loss, logits, target), rtol=1e-12)
    assert ohem.count(torch.from_numpy(target)) == plain_loss.count(torch.from_numpy(target))


def test_ohem_teaches_hard_pixels_alone():
    logits = torch.zeros(1, 2, 1, 4)
    logits[0, 0, 0] = torch.tensor([3.0, 1.0, 0.5, -1.0])  # p = 0.95, 0.73, 0.62, 0.27
    target = torch.zeros(1, 1, 4)
    for options, hard in (((0.7, 0.0), 2), ((0.9, 0.0), 3), ((0.1, 0.0), 1), ((0.1, 0.25), 1), ((0.1, 0.26), 2)):
        logits = logits.detach().requires_grad_()
        OHEMCrossEntropyLoss(None, *options)(Prediction(logits=logits), None, target, CALL).backward()
        assert (logits.grad[0, 0, 0] != 0).tolist() == [False] * (4 - hard) + [True] * hard


@pytest.mark.parametrize(
    ("cls", "options", "says"),
    [
        (Focal, {"gamma": -1.0}, "gamma"),
        (Focal, {"gamma": float("nan")}, "gamma"),
        (Focal, {"gamma": float("inf")}, "gamma"),
        (Focal, {"weights": (0.0, 0.0)}, "not all 0"),
        (OHEMCrossEntropy, {"threshold": 0.0}, "threshold"),
        (OHEMCrossEntropy, {"threshold": 1.1}, "threshold"),
        (OHEMCrossEntropy, {"keep": -0.1}, "keep"),
        (OHEMCrossEntropy, {"keep": 1.1}, "keep"),
        (OHEMCrossEntropy, {"weights": (1.0,), "class_weights": "enet"}, "leave one of them out"),
    ],
)
def test_senseless_options_are_refused(cls, options, says):
    with pytest.raises(ValueError, match=says):
        cls(**options)


@pytest.mark.parametrize("cls", [Focal, OHEMCrossEntropy])
def test_weights_are_one_for_each_class(cls):
    ctx = LossContext(num_classes=3, class_shares=dict, learner_taps={}, source_taps={})
    assert cls(weights=(1.0, 2.0, 3.0)).build(ctx).weights.tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="weights has 2 numbers; the dataset has 3 classes"):
        cls(weights=(1.0, 2.0)).build(ctx)
