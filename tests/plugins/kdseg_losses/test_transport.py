from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg_losses.transport import OptimalTransportLoss

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())


def loss_of(module, learner, source, target):
    predictions = [Prediction(logits=torch.as_tensor(logits)) for logits in (learner, source)]
    return module(*predictions, torch.as_tensor(target), CALL)


def softmax(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def distances(numbers, classes):
    """Of points in the plane: exp(-cost / epsilon) is positive definite. In float32, as the module keeps them."""
    points = numbers.random((classes, 2))
    found = np.sqrt(((points[:, None] - points[None]) ** 2).sum(2))
    return (found / found.max()).astype(np.float32).astype(np.float64)


def plan_cost(p, q, cost, epsilon):
    """min over P of <P, D> + e KL(P || p q^T): Sinkhorn's scaling, not of logarithms, and the cost of its plan."""
    kernel = np.exp(-cost / epsilon)
    a = np.ones(len(p))
    for _ in range(4000):
        b = 1 / (kernel.T @ (p * a))
        a = 1 / (kernel @ (q * b))
    plan = (p * a)[:, None] * kernel * (q * b)[None]
    assert plan.sum(0) == pytest.approx(q, abs=1e-8)
    assert plan.sum(1) == pytest.approx(p, abs=1e-8)
    return (plan * cost).sum() + epsilon * (plan * np.log(plan / np.outer(p, q))).sum()


def sinkhorn_divergence(p, q, cost, epsilon):
    """Feydy et al. (1810.08278), equation 3."""
    return plan_cost(p, q, cost, epsilon) - plan_cost(p, p, cost, epsilon) / 2 - plan_cost(q, q, cost, epsilon) / 2


def cheapest(p, q, cost):
    """The linear program: plans of the marginals p and q."""
    classes = len(p)
    rows = np.kron(np.eye(classes), np.ones(classes))
    columns = np.kron(np.ones(classes), np.eye(classes))
    return linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([p, q])).fun


@settings(max_examples=12)
@given(
    st.integers(0, 1000),
    st.one_of(st.integers(2, 6), st.integers(2, 150)),
    st.sampled_from([0.5, 1.0, 4.0]),
    st.sampled_from([1.0, 3.0]),
    st.booleans(),
)
def test_it_is_the_formula(seed, classes, epsilon, temperature, standardise):
    numbers = np.random.default_rng(seed)
    learner, source = numbers.normal(0, 2, (2, 2, classes, 1, 2))
    target = np.where(numbers.random((2, 1, 2)) < 0.3, IGNORE_INDEX, 0)
    cost = distances(numbers, classes)
    expected = 0.0
    for image, row, column in np.argwhere(target != IGNORE_INDEX):
        pair = [logits[image, :, row, column] for logits in (source, learner)]
        if standardise:
            pair = [(logits - logits.mean()) / logits.std() for logits in pair]
        p, q = (softmax(logits / temperature) for logits in pair)
        expected += temperature**2 * sinkhorn_divergence(p, q, cost, epsilon)
    module = OptimalTransportLoss(temperature, cost, epsilon, 40, standardise=standardise)
    assert loss_of(module, learner, source, target).item() == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_few_iterations_lose_little_of_the_value():
    """The dual's error is of second order: by default, less than 1e-5 of a value of about 0.3."""
    numbers = np.random.default_rng(0)
    learner, source = numbers.normal(0, 2, (2, 1, 19, 2, 2))
    cost = 1 - np.eye(19)
    values = [
        loss_of(OptimalTransportLoss(1.0, cost, 0.5, iterations), learner, source, np.zeros((1, 2, 2))).item()
        for iterations in (20, 400)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


@pytest.mark.parametrize("kind", ["distances", "0/1"])
@pytest.mark.parametrize("classes", [2, 4, 7])
def test_it_tends_to_the_cheapest_plan(kind, classes):
    """As epsilon falls: OT lies up to epsilon log C above the cheapest plan, and what is taken off is no more."""
    numbers = np.random.default_rng(1)
    cost = distances(numbers, classes) if kind == "distances" else 1 - np.eye(classes)
    learner, source = numbers.normal(0, 1.5, (2, 1, classes, 1, 1))
    p, q = (softmax(logits.ravel()) for logits in (source, learner))
    expected = cheapest(p, q, cost)
    errors = []
    for epsilon in (0.2, 0.05):
        module = OptimalTransportLoss(1.0, cost, epsilon, 3000)
        errors.append(abs(loss_of(module, learner, source, np.zeros((1, 1, 1))).item() - expected))
        assert errors[-1] <= epsilon * math.log(classes)
    assert errors[1] < errors[0] / 2
    if kind == "0/1":
        assert expected == pytest.approx(abs(p - q).sum() / 2, abs=1e-9)


def test_it_tends_to_the_energy_distance():
    """As epsilon grows: -(p - q)^T D (p - q) / 2 (Feydy et al., section 1.2)."""
    numbers = np.random.default_rng(2)
    learner, source = numbers.normal(0, 2, (2, 1, 6, 1, 1))
    cost = distances(numbers, 6)
    gap = softmax(source.ravel()) - softmax(learner.ravel())
    loss = loss_of(OptimalTransportLoss(1.0, cost, 1e4, 20), learner, source, np.zeros((1, 1, 1)))
    assert loss.item() == pytest.approx(-gap @ cost @ gap / 2, rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_certain_classes_are_their_cost_apart(dtype):
    """One plan alone moves all of one class to another: its cost, whatever epsilon, down to the smallest in float32."""
    cost = [[0.0, 0.25, 1.0], [0.25, 0.0, 0.5], [1.0, 0.5, 0.0]]
    for epsilon in (1 / 80, 0.5, 10.0):
        module = OptimalTransportLoss(1.0, cost, epsilon, 20)
        for one in range(3):
            for other in range(3):
                learner, source = (torch.eye(3, dtype=dtype)[which].mul(1e4).view(1, 3, 1, 1) for which in (one, other))
                loss = loss_of(module, learner, source, torch.zeros(1, 1, 1))
                assert loss.item() == pytest.approx(cost[one][other], rel=1e-4, abs=1e-6)


@settings(max_examples=10)
@given(st.integers(0, 1000), st.integers(2, 20), st.sampled_from([0.5, 1.0]))
def test_its_gradient_is_that_of_all_iterations(seed, classes, epsilon):
    """Autograd through a plain Sinkhorn that has converged, against the difference of potentials."""
    numbers = np.random.default_rng(seed)
    learner, source = (torch.from_numpy(values) for values in numbers.normal(0, 2, (2, classes)))
    cost = distances(numbers, classes)
    kernel = torch.from_numpy(np.exp(-cost / epsilon))

    def transported(p, q):
        a = torch.ones_like(p)
        for _ in range(200):
            b = 1 / (kernel.T @ (p * a))
            a = 1 / (kernel @ (q * b))
        return epsilon * ((p * a.log()).sum() + (q * b.log()).sum())

    plain, shaped = learner.clone().requires_grad_(), learner.view(1, -1, 1, 1).clone().requires_grad_()
    p, q = source.softmax(0), plain.softmax(0)
    (transported(p, q) - transported(q, q) / 2).backward()
    loss_of(
        OptimalTransportLoss(1.0, cost, epsilon, 60), shaped, source.view(1, -1, 1, 1), torch.zeros(1, 1, 1)
    ).backward()
    assert torch.allclose(shaped.grad.flatten(), plain.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("iterations", [1, 2, 7])
def test_equals_are_0_apart_with_no_gradient_however_few_the_iterations(iterations):
    numbers = np.random.default_rng(3)
    logits = torch.from_numpy(numbers.normal(0, 3, (2, 19, 9, 7))).float().requires_grad_()
    module = OptimalTransportLoss(2.0, distances(numbers, 19), 0.1, iterations)
    loss = loss_of(module, logits, logits.detach().clone(), torch.zeros(2, 9, 7))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()
