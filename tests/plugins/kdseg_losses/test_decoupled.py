from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.components import ClassShares, LossContext
from kdseg.data.samples import IGNORE_INDEX
from kdseg.errors import KdsegError
from kdseg.losses import LossCall, Prediction
from kdseg_losses.components.logit import DKD
from kdseg_losses.decoupled import DecoupledLoss

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())


def loss_of(module, learner, source, target):
    predictions = [Prediction(logits=torch.as_tensor(logits)) for logits in (learner, source)]
    return module(*predictions, torch.as_tensor(target), CALL)


def softmax(logits):
    powers = np.exp(logits)
    return powers / powers.sum()


def kl(p, q):
    return sum(one * math.log(one / other) for one, other in zip(p, q, strict=True))


def parts(learner, source, label, temperature, standardise):
    """Zhao et al. (2203.08679), equations 2 to 6, at one pixel: TCKD and NCKD, and what the target leaves the rest."""
    pair = [(one - one.mean()) / one.std() if standardise else one for one in (source, learner)]
    p, q = (softmax(logits / temperature) for logits in pair)
    binary = kl([p[label], 1 - p[label]], [q[label], 1 - q[label]])
    others = kl(*(np.delete(one, label) / (1 - one[label]) for one in (p, q)))
    return binary, others, 1 - p[label]


@st.composite
def problems(draw):
    classes = draw(st.one_of(st.integers(2, 6), st.integers(2, 150)))
    numbers = np.random.default_rng(draw(st.integers(0, 1000)))
    learner, source = numbers.normal(0, 2, (2, 2, classes, 3, draw(st.integers(1, 4))))
    target = numbers.integers(0, classes, learner[:, 0].shape)
    target[numbers.random(target.shape) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = IGNORE_INDEX
    return learner, source, target, draw(st.sampled_from([1.0, 4.0]))


@settings(max_examples=40)
@given(problems(), st.sampled_from([(1.0, 8.0), (0.0, 1.0), (2.5, 0.0)]), st.booleans())
def test_it_is_the_formula(problem, weights, standardise):
    learner, source, target, temperature = problem
    alpha, beta = weights
    expected = 0.0
    for image, row, column in np.argwhere(target != IGNORE_INDEX):
        pair = [logits[image, :, row, column] for logits in (learner, source)]
        binary, others, _ = parts(*pair, target[image, row, column], temperature, standardise)
        expected += temperature**2 * (alpha * binary + beta * others)
    loss = loss_of(DecoupledLoss(temperature, alpha, beta, standardise=standardise), learner, source, target)
    assert loss.item() == pytest.approx(expected, rel=1e-8, abs=1e-10)


@settings(max_examples=20)
@given(problems())
def test_it_parts_the_divergence(problem):
    """Equation 6: KL(p || q) = TCKD + (1 - p_y) NCKD, which holds of the loss pixel by pixel."""
    learner, source, target, temperature = problem
    for image, row, column in np.argwhere(target != IGNORE_INDEX):
        pair = [torch.from_numpy(logits[image, :, row, column]).view(1, -1, 1, 1) for logits in (learner, source)]
        label = target[image : image + 1, row : row + 1, column : column + 1]
        binary, others = (
            loss_of(DecoupledLoss(temperature, *weights), *pair, label).item() for weights in ((1, 0), (0, 1))
        )
        q, p = (softmax(logits.flatten().numpy() / temperature) for logits in pair)
        whole = temperature**2 * kl(p, q)
        assert binary + (1 - p[label.item()]) * others == pytest.approx(whole, rel=1e-8, abs=1e-10)


def test_two_classes_have_no_rest_to_compare():
    learner, source = torch.randn(2, 1, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    loss = loss_of(DecoupledLoss(4.0, 0.0, 8.0), learner, source, torch.ones(1, 3, 3, dtype=torch.uint8))
    assert loss.item() == 0


def test_a_single_class_is_refused():
    """Its odds against no other are infinite, and their difference is no number."""
    context = LossContext(num_classes=1, class_shares=ClassShares, learner_taps={}, source_taps={})
    with pytest.raises(KdsegError, match=r"dkd: .* needs 2 classes or more; the dataset has 1"):
        DKD().build(context)


def test_a_target_far_above_the_rest_does_not_drown_it():
    """At a logit of 1e4 for the label, the rest are still compared: three equals with 1/2, 1/2 and 0."""
    learner = torch.tensor([1e4, 0.0, 0.0, 0.0]).view(1, 4, 1, 1)
    source = torch.tensor([1e4, 1e3, 1e3, 0.0]).view(1, 4, 1, 1)
    loss = loss_of(DecoupledLoss(1.0, 1.0, 1.0), learner, source, torch.zeros(1, 1, 1, dtype=torch.uint8))
    assert loss.item() == pytest.approx(math.log(3) - math.log(2), rel=1e-6)
