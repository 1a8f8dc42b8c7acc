"""Channel-wise distillation against the paper's formula, position by position."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdseg.components import LossContext
from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg_losses.channel import ChannelWiseFeatureLoss, ChannelWiseLoss
from kdseg_losses.components.feature import ChannelWise

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())
TEMPERATURES = st.sampled_from([0.5, 1.0, 4.0, 20.0])


def formula(learner, source, valid, temperature):
    """Shu et al. (2011.13256): the divergences of one image's channels, over its valid places alone."""
    total = 0.0
    for one, other in zip(learner, source, strict=True):
        phi, wanted = (np.exp(values[valid] / temperature) for values in (one, other))
        phi, wanted = phi / phi.sum(), wanted / wanted.sum()
        for share, asked in zip(phi, wanted, strict=True):
            total += asked * np.log(asked / share)
    return temperature**2 / len(learner) * total


@st.composite
def problems(draw):
    classes = draw(st.one_of(st.integers(2, 6), st.just(150)))
    numbers = np.random.default_rng(draw(st.integers(0, 1000)))
    shape = draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    target = numbers.integers(0, classes, shape)
    target[numbers.random(shape) < draw(st.sampled_from([0.0, 0.4, 0.9, 1.0]))] = IGNORE_INDEX
    logits = numbers.normal(0, 3, (2, shape[0], classes, *shape[1:]))
    np.moveaxis(logits, 2, -1)[:, target == IGNORE_INDEX] = np.nan
    return logits[0], logits[1], target, draw(TEMPERATURES)


def run(learner, source, target, temperature):
    module, learner = ChannelWiseLoss(temperature), torch.tensor(learner, requires_grad=True)
    target = torch.from_numpy(target)
    value = module(Prediction(logits=learner), Prediction(logits=torch.from_numpy(source)), target, CALL)
    value.backward()
    return SimpleNamespace(value=value.item(), count=module.count(target).item(), gradient=learner.grad.numpy())


@given(problems())
def test_it_is_the_formula_over_valid_pixels(problem):
    learner, source, target, temperature = problem
    result = run(*problem)
    valid = target != IGNORE_INDEX
    images = [k for k in range(len(target)) if valid[k].any()]
    total = sum(formula(learner[k], source[k], valid[k], temperature) for k in images)
    assert result.value == pytest.approx(total, rel=1e-9, abs=1e-12)
    assert result.count == len(images)


@given(problems())
def test_its_gradient_is_the_difference_of_the_shares(problem):
    learner, source, target, temperature = problem
    gradient, expected = run(*problem).gradient, np.zeros(learner.shape)
    for image, channel in np.ndindex(*learner.shape[:2]):
        valid = target[image] != IGNORE_INDEX
        phi, wanted = (np.exp(values[image, channel][valid] / temperature) for values in (learner, source))
        expected[image, channel][valid] = temperature / learner.shape[1] * (phi / phi.sum() - wanted / wanted.sum())
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)


@given(problems())
def test_what_is_added_to_a_whole_channel_does_not_matter(problem):
    _, source, target, temperature = problem
    shifted = source + np.arange(source.shape[1])[:, None, None]
    assert run(shifted, source, target, temperature).value == pytest.approx(0, abs=1e-9)


def test_ignored_pixels_take_no_mass():
    """A stronger pixel that is ignored changes nothing: over two places, as if the third were not there."""
    two, three = np.array([[[[1.0, 3.0]]]]), np.array([[[[1.0, 3.0, 50.0]]]])
    source = np.array([[[[2.0, 0.0, 9.0]]]])
    target = np.array([[[0, 0, IGNORE_INDEX]]])
    whole = run(two, source[..., :2], target[..., :2], 1.0).value
    assert whole == pytest.approx(formula(two[0], source[0, ..., :2], np.ones((1, 2), bool), 1.0))
    assert run(three, source, target, 1.0).value == whole


def test_places_so_weak_that_their_share_is_0_stay_finite():
    learner, source = np.array([[[[0.0, 1e4]]]]), np.array([[[[1e4, 0.0]]]])
    result = run(learner, source, np.zeros((1, 1, 2), int), 1.0)
    assert result.value == pytest.approx(1e4)
    np.testing.assert_allclose(result.gradient, [[[[-1.0, 1.0]]]])


@given(st.data(), TEMPERATURES)
def test_between_taps_it_is_the_formula_over_valid_cells(taps, data, temperature):
    problem = data.draw(taps.problems())
    module = taps.make(ChannelWiseFeatureLoss, problem, temperature)
    result = taps.run(module, problem)
    mine, theirs, valid = taps.aligned(problem)
    mine = taps.projected(module, mine, valid)
    images = [k for k in range(len(valid)) if valid[k].any()]
    total = sum(formula(mine[k], theirs[k], valid[k], temperature) for k in images)
    assert result.value == pytest.approx(total, rel=1e-8, abs=1e-12)
    assert result.count == len(images)


def test_a_recipe_chooses_logits_or_taps():
    shapes = {"bottleneck": (3, 2, 4)}
    ctx = LossContext(num_classes=2, class_shares=dict, learner_taps=shapes, source_taps=shapes)
    assert ChannelWise().taps(["bottleneck"], ["bottleneck"]) == ((), ())
    assert type(ChannelWise().build(ctx)) is ChannelWiseLoss
    assert ChannelWise(between=("bottleneck",)).taps(["bottleneck"], ["bottleneck"]) == (("bottleneck",),) * 2
    assert type(ChannelWise(between=("bottleneck",)).build(ctx)) is ChannelWiseFeatureLoss
