from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg_losses.correlation import DISTLoss

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())


def loss_of(module, learner, source, target):
    predictions = [Prediction(logits=torch.as_tensor(logits)) for logits in (learner, source)]
    return module(*predictions, torch.as_tensor(target), CALL)


def pearson(one, other):
    """Covariance over the product of deviations."""
    return ((one - one.mean()) * (other - other.mean())).mean() / (one.std() * other.std())


def softened(logits, target, temperature, standardise):
    """The valid pixels' probabilities, P×C."""
    rows = []
    for image, row, column in np.argwhere(target != IGNORE_INDEX):
        values = logits[image, :, row, column]
        if standardise:
            values = (values - values.mean()) / values.std()
        powers = np.exp(values / temperature)
        rows.append(powers / powers.sum())
    return np.array(rows)


@settings(max_examples=40)
@given(
    st.integers(0, 1000),
    st.one_of(st.integers(3, 6), st.integers(3, 150)),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([(1.0, 1.0), (2.0, 0.0), (0.0, 0.5)]),
    st.sampled_from([0.5, 1.0, 4.0]),
    st.booleans(),
)
def test_it_is_the_formula(seed, classes, ignored, weights, temperature, standardise):
    """Huang et al. (2205.10536), in float64: 1 - r over the classes of a pixel, and over the pixels of a class."""
    numbers = np.random.default_rng(seed)
    learner, source = numbers.normal(0, 2, (2, 2, classes, 3, 4))
    target = np.where(numbers.random((2, 3, 4)) < ignored, IGNORE_INDEX, 0)
    q, p = (softened(logits, target, temperature, standardise) for logits in (learner, source))
    inter = np.mean([1 - pearson(one, other) for one, other in zip(q, p, strict=True)])
    intra = np.mean([1 - pearson(one, other) for one, other in zip(q.T, p.T, strict=True)])
    beta, gamma = weights
    loss = loss_of(DISTLoss(temperature, beta, gamma, standardise=standardise), learner, source, target)
    assert loss.item() == pytest.approx(temperature**2 * (beta * inter + gamma * intra), rel=1e-9, abs=1e-12)


def probabilities(*rows):
    """Logits of one image whose pixels have these probabilities."""
    return torch.tensor(rows, dtype=torch.float64).log().T.view(1, len(rows[0]), 1, len(rows))


def test_scale_and_shift_within_a_pixel_do_not_count():
    learner = probabilities([0.5, 0.3, 0.2])
    source = probabilities([1 / 3 + 0.5 * (value - 1 / 3) for value in (0.5, 0.3, 0.2)])
    assert loss_of(DISTLoss(1.0, 1.0, 0.0), learner, source, torch.zeros(1, 1, 1)).item() == pytest.approx(0, abs=1e-15)


def test_opposites_are_2_apart():
    learner, source = probabilities([0.8, 0.2], [0.3, 0.7]), probabilities([0.2, 0.8], [0.7, 0.3])
    for weights in ((1.0, 0.0), (0.0, 1.0)):
        loss = loss_of(DISTLoss(1.0, *weights), learner, source, torch.zeros(1, 1, 2))
        assert loss.item() == pytest.approx(2, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shift", [0.0, 3.7, 1e4])
def test_a_constant_is_half_from_what_varies_and_0_from_another(dtype, shift):
    """A learner that knows nothing yet gives all classes alike: no rounding may pass for a correlation."""
    numbers = torch.Generator().manual_seed(0)
    flat = torch.full((2, 19, 4, 5), shift, dtype=dtype, requires_grad=True)
    source, target = torch.randn(2, 19, 4, 5, generator=numbers).to(dtype), torch.zeros(2, 4, 5)
    loss = loss_of(DISTLoss(1.0, 1.0, 1.0), flat, source, target)
    loss.backward()
    assert loss.item() == pytest.approx(1, rel=1e-6)
    assert flat.grad.abs().max() < 1
    assert loss_of(DISTLoss(1.0, 1.0, 1.0), flat, flat.detach() + 1, target).item() == 0


def test_one_class_in_all_pixels_is_a_constant():
    """A certain learner of one class: columns of 1 and of 0, in float32."""
    learner = torch.zeros(1, 3, 2, 2)
    learner[:, 1] = 1e4
    learner.requires_grad_()
    source = torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    loss = loss_of(DISTLoss(1.0, 0.0, 1.0), learner, source, torch.zeros(1, 2, 2))
    loss.backward()
    assert loss.item() == pytest.approx(0.5, rel=1e-6)
    assert torch.isfinite(learner.grad).all()


def test_classes_too_rare_for_float32_s_squares_still_correlate():
    """Probabilities of 1e-26, whose squares are 0 in float32; the source's are twice the learner's."""
    learner, source = torch.zeros(1, 3, 1, 4), torch.zeros(1, 3, 1, 4)
    steps = torch.tensor([0.0, 1.0, 2.0, 3.0])
    learner[0, 0, 0] = steps - 60
    source[0, 0, 0] = steps - 60 + 0.7
    loss = loss_of(DISTLoss(1.0, 0.0, 1.0), learner, source, torch.zeros(1, 1, 4))
    assert loss.item() == pytest.approx(0, abs=1e-6)
