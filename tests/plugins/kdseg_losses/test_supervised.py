from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg_losses.supervised import CrossEntropyLoss

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())


def formula(logits, target, weights, smoothing):
    """Szegedy et al. (1512.00567), section 7, with class weights, pixel by pixel; and the sum of the weights."""
    classes, total, count = logits.shape[1], 0.0, 0.0
    for image, mask in zip(np.moveaxis(logits, 1, -1).reshape(-1, classes), target.ravel(), strict=True):
        if mask == IGNORE_INDEX:
            continue
        log_probabilities = image - np.log(np.exp(image).sum())
        wanted = np.full(classes, smoothing / classes)
        wanted[mask] += 1 - smoothing
        total -= (wanted * weights * log_probabilities).sum()
        count += weights[mask]
    return total, count


@st.composite
def problems(draw):
    classes = draw(st.integers(2, 5))
    numbers = np.random.default_rng(draw(st.integers(0, 1000)))
    logits = numbers.normal(0, 2, (2, classes, 3, 4))
    target = numbers.integers(0, classes, (2, 3, 4))
    target[numbers.random(target.shape) < 0.3] = IGNORE_INDEX
    weights = numbers.uniform(0, 3, classes).astype(np.float32) if draw(st.booleans()) else None
    return logits, target, weights, draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))


@settings(deadline=None)
@given(problems())
def test_it_is_the_formula(problem):
    logits, target, weights, smoothing = problem
    module = CrossEntropyLoss(weights, smoothing)
    loss = module(Prediction(logits=torch.from_numpy(logits)), None, torch.from_numpy(target), CALL)
    plain = np.ones(logits.shape[1]) if weights is None else weights
    total, count = formula(logits, target, plain, smoothing)
    assert loss.item() == pytest.approx(total, rel=1e-12)
    assert module.count(torch.from_numpy(target)).item() == pytest.approx(count, rel=1e-6)


@settings(deadline=None)
@given(problems())
def test_its_mean_is_torch_s(problem):
    logits, target, weights, smoothing = problem
    module = CrossEntropyLoss(weights, smoothing).double()
    logits, target = torch.from_numpy(logits), torch.from_numpy(target)
    mean = module(Prediction(logits=logits), None, target, CALL) / module.count(target)
    expected = F.cross_entropy(
        logits,
        target,
        weight=None if weights is None else torch.from_numpy(weights).double(),
        label_smoothing=smoothing,
        ignore_index=IGNORE_INDEX,
        reduction="mean",
    )
    assert torch.allclose(mean, expected, rtol=1e-13)


def test_weights_are_kept_with_the_run():
    module = CrossEntropyLoss((1.0, 2.0), 0.0)
    assert module.state_dict()["weights"].tolist() == [1, 2]
    assert CrossEntropyLoss(None, 0.0).state_dict() == {}
