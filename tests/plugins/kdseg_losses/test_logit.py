from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg_losses.logit import PixelKLLoss

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())


def softmax(logits, temperature):
    powers = np.exp(logits / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6), st.sampled_from([0.5, 1.0, 4.0]))
def test_it_is_the_formula(seed, classes, temperature):
    """Hinton et al. (1503.02531): T^2 times the divergence of the softened classes, in float64."""
    numbers = np.random.default_rng(seed)
    learner, source = numbers.normal(0, 2, (2, 2, classes, 3, 4))
    target = np.where(numbers.random((2, 3, 4)) < 0.3, IGNORE_INDEX, 0)
    p, q = softmax(source, temperature), softmax(learner, temperature)
    expected = temperature**2 * ((p * np.log(p / q)).sum(axis=1) * (target != IGNORE_INDEX)).sum()
    loss = PixelKLLoss(temperature)(
        Prediction(logits=torch.from_numpy(learner)),
        Prediction(logits=torch.from_numpy(source)),
        torch.from_numpy(target),
        CALL,
    )
    assert loss.item() == pytest.approx(expected, rel=1e-11)


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
