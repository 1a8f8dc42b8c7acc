from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg_losses.components.logit import CurriculumKL
from kdseg_losses.curriculum import CurriculumKLLoss

CALL = LossCall(progress=1.0, images=torch.zeros(0), generator=torch.Generator())


def made(*, start=4.0, lowest=1.0, highest=21.0, ramp=0.04, **options):
    return CurriculumKLLoss(start, lowest, highest, ramp, **options).double()


def drawn(seed, classes=4):
    """Logits of learner and source, and labels some of which are ignored."""
    numbers = np.random.default_rng(seed)
    learner, source = numbers.normal(0, 3, (2, 2, classes, 3, 4))
    return learner, source, np.where(numbers.random((2, 3, 4)) < 0.3, IGNORE_INDEX, 0)


def by_loops(learner, source, target, temperature):
    """T^2 KL of the softened classes, pixel by pixel and class by class."""
    total = 0.0
    for image, row, column in np.argwhere(target != IGNORE_INDEX):
        powers = [np.exp(logits[image, :, row, column] / temperature) for logits in (learner, source)]
        q, p = (one / one.sum() for one in powers)
        total += temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    return total


def loss_of(module, learner, source, target, progress=1.0):
    predictions = [Prediction(logits=torch.as_tensor(logits)) for logits in (learner, source)]
    return module(*predictions, torch.as_tensor(target), evolve(CALL, progress=progress))


@settings(max_examples=30)
@given(st.integers(0, 1000), st.floats(1.5, 20), st.floats(0, 1))
def test_at_any_moment_it_is_the_formula(seed, start, progress):
    learner, source, target = drawn(seed)
    loss = loss_of(made(start=start), learner, source, target, progress)
    assert loss.item() == pytest.approx(by_loops(learner, source, target, start), rel=1e-7)


@pytest.mark.parametrize(("progress", "strength"), [(0.0, 0.0), (0.05, 0.5), (0.1, 1.0), (0.7, 1.0)])
def test_the_temperature_feels_the_reversed_gradient_by_a_cosine_ramp(progress, strength):
    """Its gradient, against central differences of the slow loops."""
    learner, source, target = drawn(3)
    module = made(start=5.0, lowest=2.0, highest=9.0, ramp=0.1)
    loss_of(module, learner, source, target, progress).backward()

    def at(theta):
        return by_loops(learner, source, target, 2 + 7 / (1 + math.exp(-theta)))

    theta, step = math.log(3 / 4), 1e-5
    slope = (at(theta + step) - at(theta - step)) / (2 * step)
    assert module.theta.grad.item() == pytest.approx(-strength * slope, rel=1e-6, abs=1e-12)


def test_both_learn_as_in_a_loop_with_the_gradient_reversed_by_hand():
    """Six steps of gradient descent by one optimizer: down for the learner, up for the temperature."""
    learner, source, target = drawn(5)
    module, logits = made(ramp=0.5), torch.tensor(learner, requires_grad=True)
    optimizer = torch.optim.SGD([logits, *module.parameters()], lr=0.05)
    by_hand, theta, steps = torch.tensor(learner), module.theta.item(), 6
    valid, told = torch.as_tensor(target) != IGNORE_INDEX, torch.tensor(source)
    temperatures = []
    for step in range(steps):
        optimizer.zero_grad()
        loss_of(module, logits, source, target, step / steps).backward()
        optimizer.step()

        z, t = by_hand.clone().requires_grad_(), torch.tensor(theta, dtype=torch.float64, requires_grad=True)
        temperature = 1 + 20 / (1 + (-t).exp())
        p, q = (values.div(temperature).softmax(1) for values in (told, z))
        loss = (temperature**2 * (p * (p / q).log()).sum(1))[valid].sum()
        down, up = torch.autograd.grad(loss, [z, t])
        strength = (1 - math.cos(math.pi * min(step / steps / 0.5, 1))) / 2
        by_hand, theta = by_hand - 0.05 * down, theta + 0.05 * strength * up.item()
        temperatures.append(temperature.item())
    assert torch.allclose(logits, by_hand, rtol=1e-9)
    assert module.theta.item() == pytest.approx(theta, rel=1e-9)
    assert temperatures[0] == temperatures[1] == pytest.approx(4)  # not yet at the first step
    assert len(set(temperatures)) == steps - 1


def test_the_temperature_makes_the_loss_larger_and_stays_within_its_bounds():
    learner, source, target = drawn(1)
    module = made(start=2.0, lowest=1.5, highest=6.0, ramp=0.0)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    losses = []
    for _ in range(200):
        optimizer.zero_grad()
        loss = loss_of(module, learner, source, target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        assert 1.5 < module.temperature(1.0).item() < 6
    assert all(later >= sooner for sooner, later in itertools.pairwise(losses))
    assert losses[-1] > losses[0]


@pytest.mark.parametrize(("start", "lowest", "highest"), [(1.0, 1.0, 21.0), (21.0, 1.0, 21.0), (4.0, 5.0, 3.0)])
def test_a_start_outside_the_bounds_is_refused(start, lowest, highest):
    with pytest.raises(ValueError, match="temperature must lie between lowest"):
        CurriculumKL(temperature=start, lowest=lowest, highest=highest)
