from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg_losses.regularisers import ConfidencePenaltyLoss

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6))
def test_it_is_minus_the_entropy(seed, classes):
    numbers = np.random.default_rng(seed)
    logits = numbers.normal(0, 2, (2, classes, 3, 4))
    target = np.where(numbers.random((2, 3, 4)) < 0.3, IGNORE_INDEX, 0)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = ((p * np.log(p)).sum(axis=1) * (target != IGNORE_INDEX)).sum()
    loss = ConfidencePenaltyLoss()(Prediction(logits=torch.from_numpy(logits)), None, torch.from_numpy(target), CALL)
    assert loss.item() == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize(("logits", "entropy"), [([0.0] * 7, math.log(7)), ([1e4] + [0.0] * 6, 0.0)])
def test_it_lies_between_certainty_and_none(logits, entropy):
    values = torch.tensor(logits).view(1, -1, 1, 1)
    loss = ConfidencePenaltyLoss()(Prediction(logits=values), None, torch.zeros(1, 1, 1), CALL)
    assert loss.item() == pytest.approx(-entropy, rel=1e-6)
