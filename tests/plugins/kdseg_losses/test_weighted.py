from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg_losses.weighted import GatedKLLoss, WeightedSoftLabelsLoss

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())


def loss_of(module, learner, source, target):
    predictions = [Prediction(logits=torch.as_tensor(logits)) for logits in (learner, source)]
    return module(*predictions, torch.as_tensor(target), CALL)


def softmax(logits, temperature=1.0):
    powers = np.exp(logits / temperature)
    return powers / powers.sum()


def soft_kl(learner, source, temperature, standardise):
    """T^2 times the divergence at one pixel."""
    pair = [(one - one.mean()) / one.std() if standardise else one for one in (source, learner)]
    p, q = (softmax(logits, temperature) for logits in pair)
    return temperature**2 * (p * np.log(p / q)).sum()


@st.composite
def problems(draw):
    classes = draw(st.one_of(st.integers(2, 6), st.integers(2, 150)))
    numbers = np.random.default_rng(draw(st.integers(0, 1000)))
    learner, source = numbers.normal(0, 2, (2, 2, classes, 3, draw(st.integers(1, 4))))
    target = numbers.integers(0, classes, learner[:, 0].shape)
    target = np.where(numbers.random(target.shape) < 0.5, source.argmax(1), target)  # a source that is often right
    target[numbers.random(target.shape) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = IGNORE_INDEX
    return learner, source, target, draw(st.sampled_from([0.5, 1.0, 4.0])), draw(st.booleans())


def pixels(learner, source, target):
    for image, row, column in np.argwhere(target != IGNORE_INDEX):
        yield learner[image, :, row, column], source[image, :, row, column], target[image, row, column]


@settings(max_examples=30)
@given(problems())
def test_a_source_that_is_wrong_teaches_nothing(problem):
    *tensors, temperature, standardise = problem
    expected = sum(
        soft_kl(learner, source, temperature, standardise)
        for learner, source, label in pixels(*tensors)
        if all(source[label] >= other for other in source)
    )
    loss = loss_of(GatedKLLoss(temperature, "right", standardise=standardise), *tensors)
    assert loss.item() == pytest.approx(expected, rel=1e-10, abs=1e-12)


@settings(max_examples=30)
@given(problems(), st.sampled_from([0.1, 0.4, 0.9]))
def test_a_source_that_is_unsure_teaches_nothing(problem, threshold):
    *tensors, temperature, standardise = problem
    expected = sum(
        soft_kl(learner, source, temperature, standardise)
        for learner, source, _ in pixels(*tensors)
        if max(softmax(source)) >= threshold
    )
    loss = loss_of(GatedKLLoss(temperature, "sure", threshold, standardise=standardise), *tensors)
    assert loss.item() == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize(("label", "passes"), [(0, True), (1, True), (2, False)])
def test_a_source_torn_between_the_label_and_another_is_right(label, passes):
    source = torch.tensor([2.0, 2.0, 1.0]).view(1, 3, 1, 1)
    learner = torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1)
    assert (loss_of(GatedKLLoss(1.0, "right"), learner, source, torch.full((1, 1, 1), label)) > 0) == passes


def test_all_valid_pixels_are_counted_whether_they_pass_or_not():
    target = torch.tensor([[[0, 1, IGNORE_INDEX]]])
    assert GatedKLLoss(1.0, "right").count(target).item() == 2


@settings(max_examples=30)
@given(problems())
def test_soft_labels_weigh_by_how_far_the_learner_is_behind(problem):
    """Zhou et al. (2102.00650): w = 1 - exp(-CE_s / CE_t), with the 1e-7 of their code."""
    *tensors, temperature, standardise = problem
    expected = 0.0
    for learner, source, label in pixels(*tensors):
        mine, its = (-math.log(softmax(logits)[label]) for logits in (learner, source))
        expected += (1 - math.exp(-mine / (its + 1e-7))) * soft_kl(learner, source, temperature, standardise)
    loss = loss_of(WeightedSoftLabelsLoss(temperature, standardise=standardise), *tensors)
    assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@settings(max_examples=20)
@given(problems())
def test_its_gradient_is_that_of_soft_cross_entropy_with_the_weight_held(problem):
    """w T (q - p) at each valid pixel: that of w T^2 times the cross-entropy of the paper."""
    learner, source, target, temperature, _ = problem
    logits = torch.from_numpy(learner).requires_grad_()
    loss_of(WeightedSoftLabelsLoss(temperature), logits, source, target).backward()
    expected = np.zeros(learner.shape)
    for image, row, column in np.argwhere(target != IGNORE_INDEX):
        pair, label = [one[image, :, row, column] for one in (learner, source)], target[image, row, column]
        mine, its = (-math.log(softmax(one)[label]) for one in pair)
        q, p = (softmax(one, temperature) for one in pair)
        expected[image, :, row, column] = (1 - math.exp(-mine / (its + 1e-7))) * temperature * (q - p)
    assert logits.grad.numpy() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("learner", "source", "weight"),
    [
        ([0.0, 1e4], [1e4, 0.0], 1.0),  # the source is certain and right, the learner wrong
        ([1e4, 0.0], [0.0, 1e4], 0.0),  # the other way round
        ([0.0, 0.0], [1e4, 0.0], 1.0),
    ],
)
def test_a_certain_source_has_the_limit_s_weight(learner, source, weight):
    learner, source = (torch.tensor(values).view(1, 2, 1, 1) for values in (learner, source))
    loss = loss_of(WeightedSoftLabelsLoss(1.0), learner, source, torch.zeros(1, 1, 1, dtype=torch.uint8))
    divergence = (source.softmax(1) * (source.log_softmax(1) - learner.log_softmax(1))).sum()
    assert loss.item() == pytest.approx(weight * divergence.item(), rel=1e-6, abs=1e-6)
