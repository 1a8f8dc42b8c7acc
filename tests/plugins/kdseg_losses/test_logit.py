from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg_losses.logit import PixelKLLoss, soften

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())


def loss_of(module, learner, source, target):
    predictions = [Prediction(logits=torch.as_tensor(logits)) for logits in (learner, source)]
    return module(*predictions, torch.as_tensor(target), CALL)


def softmax(logits, temperature, standardise=False):
    """Of one pixel; Sun et al. (2403.01427), algorithm 1, before."""
    if standardise:
        mean = sum(logits) / len(logits)
        deviation = math.sqrt(sum((logit - mean) ** 2 for logit in logits) / len(logits))
        logits = [(logit - mean) / deviation for logit in logits]
    powers = np.exp(np.asarray(logits) / temperature)
    return powers / powers.sum()


def kl(p, q):
    return sum(one * math.log(one / other) for one, other in zip(p, q, strict=True))


def divergence(p, q, direction):
    if direction == "forward":
        return kl(p, q)
    if direction == "reverse":
        return kl(q, p)
    return kl(p, (p + q) / 2) / 2 + kl(q, (p + q) / 2) / 2


@settings(max_examples=40)
@given(
    st.integers(0, 1000),
    st.one_of(st.integers(2, 6), st.integers(2, 150)),
    st.sampled_from([0.5, 1.0, 4.0]),
    st.sampled_from(["forward", "reverse", "jensen_shannon"]),
    st.booleans(),
)
def test_it_is_the_formula(seed, classes, temperature, direction, standardise):
    """T^2 times the divergence of the softened classes, in float64, pixel by pixel."""
    numbers = np.random.default_rng(seed)
    learner, source = numbers.normal(0, 2, (2, 2, classes, 3, 4))
    target = np.where(numbers.random((2, 3, 4)) < 0.3, IGNORE_INDEX, 0)
    expected = 0.0
    for place in np.argwhere(target != IGNORE_INDEX):
        image, row, column = place
        q, p = (softmax(logits[image, :, row, column], temperature, standardise) for logits in (learner, source))
        expected += temperature**2 * divergence(p, q, direction)
    loss = loss_of(PixelKLLoss(temperature, direction, standardise=standardise), learner, source, target)
    assert loss.item() == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_at_high_temperature_it_matches_logits():
    """Hinton et al., equation 4: as T grows the gradient tends to (z - v) / C for logits of zero mean."""
    numbers = torch.Generator().manual_seed(0)
    z, v = (torch.randn(1, 4, 2, 2, generator=numbers, dtype=torch.float64) for _ in range(2))
    z, v = z - z.mean(1, keepdim=True), v - v.mean(1, keepdim=True)
    z.requires_grad_()
    target = torch.zeros(1, 2, 2, dtype=torch.uint8)
    PixelKLLoss(1e5)(Prediction(logits=z), Prediction(logits=v), target, CALL).backward()
    assert torch.allclose(z.grad, (z - v).detach() / 4, rtol=1e-4, atol=1e-9)


def test_a_certain_source_gives_the_cross_entropy():
    learner = torch.tensor([[[[0.0]], [[math.log(3)]]]], dtype=torch.float64)
    source = torch.tensor([[[[0.0]], [[1000.0]]]], dtype=torch.float64)
    loss = PixelKLLoss(1.0)(Prediction(logits=learner), Prediction(logits=source), torch.zeros(1, 1, 1), CALL)
    assert loss.item() == pytest.approx(-math.log(3 / 4), rel=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_certainties_that_differ_are_log_2_apart(dtype):
    learner, source = torch.eye(2, dtype=dtype).mul(1e4).view(2, 1, 2, 1, 1)
    loss = loss_of(PixelKLLoss(1.0, "jensen_shannon"), learner, source, torch.zeros(1, 1, 1))
    assert loss.item() == pytest.approx(math.log(2), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_classes_of_equal_probability_take_their_part_in_the_gradient(dtype):
    """Where p_c = q_c for one class alone: the definition's gradient, by the chain rule through the softmax.

    It is q_i (s_i - sum over j of q_j s_j) / 2 with s = log(q / m).
    """
    q, p = torch.tensor([0.25, 0.5, 0.25], dtype=dtype), torch.tensor([0.5, 0.25, 0.25], dtype=dtype)
    learner = q.log().view(1, 3, 1, 1).requires_grad_()
    loss_of(PixelKLLoss(1.0, "jensen_shannon"), learner, p.log().view(1, 3, 1, 1), torch.zeros(1, 1, 1)).backward()
    slope = (q / ((p + q) / 2)).log()
    assert torch.allclose(learner.grad.flatten(), q * (slope - (q * slope).sum()) / 2, atol=1e-7)


@pytest.mark.parametrize("value", [0.0, 3.7, 1e4, -1e4])
@pytest.mark.parametrize("classes", [2, 19, 150])
def test_a_pixel_of_equal_logits_has_scores_of_0_and_a_finite_gradient(value, classes):
    logits = torch.full((1, classes, 1, 2), value)
    logits[0, 0, 0, 1] += 1
    logits.requires_grad_()
    scores = soften(logits, 2.0, standardise=True)
    assert (scores[..., 0] == 0).all()
    scores.log_softmax(1)[0, 0].sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().max() < 10


@pytest.mark.parametrize("scale", [1e-40, 1e-20, 1e-10, 1e-6, 1.0, 1e6])
def test_a_pixel_of_nearly_equal_logits_has_a_finite_gradient(scale):
    logits = scale * torch.randn(1, 19, 4, 4, generator=torch.Generator().manual_seed(0))
    logits.requires_grad_()
    soften(logits, 1.0, standardise=True).log_softmax(1)[0, 0].sum().backward()
    assert torch.isfinite(logits.grad).all()


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(3, 150), st.floats(0.01, 100), st.floats(-100, 100))
def test_standardised_logits_ignore_scale_and_shift(seed, classes, scale, shift):
    """Sun et al. (2403.01427), section 4: the learner needs the source's order and ratios, not its magnitude."""
    source = torch.randn(1, classes, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    loss = loss_of(PixelKLLoss(2.0, standardise=True), scale * source + shift, source, torch.zeros(1, 2, 2))
    assert loss.item() == pytest.approx(0, abs=1e-12)
