"""The Triton kernels of channel-wise distillation, by Triton's interpreter, against the plain loss in float64."""

from __future__ import annotations

import math

import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg_losses.channel import ChannelWiseLoss

pytest.importorskip("triton", reason="Triton has no build for this system")

from kdseg_losses import fused_triton_channel

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())
LAYOUTS = [torch.contiguous_format, torch.channels_last]
STEP = 2**-7  # of bfloat16: the interpreter cuts it off where a GPU rounds
both_layouts = pytest.mark.parametrize("layout", LAYOUTS, ids=["contiguous", "channels_last"])


def plain(case):
    """Value and gradient in float64."""
    logits = case.learner.detach().double().clone().requires_grad_()
    loss = ChannelWiseLoss(case.temperature)
    value = loss(Prediction(logits=logits), Prediction(logits=case.source.double()), case.target, CALL)
    (case.scales[0] * value).backward()
    return value.item(), logits.grad


def interpreted(case):
    """Value and gradient by the kernels."""
    loss = fused_triton_channel.TritonChannelWise(ChannelWiseLoss(case.temperature), case.temperature)
    values, gradient = case.both(loss)
    return values[0], gradient


@settings(max_examples=40)
@given(data=st.data())
def test_it_is_the_plain_loss(data, made):
    temperature = data.draw(st.sampled_from([0.5, 1.0, 3.0, 4.0, 100.0]))
    case = made(
        images=data.draw(st.integers(1, 3)),
        classes=data.draw(st.one_of(st.integers(2, 40), st.integers(2, 150))),
        size=(data.draw(st.integers(1, 20)), data.draw(st.integers(1, 40))),
        seed=data.draw(st.integers(0, 100)),
        ignored=data.draw(st.sampled_from([0.0, 0.3, 0.98, 1.0])),
        dtype=data.draw(st.sampled_from([torch.float32, torch.bfloat16])),
        layout=data.draw(st.sampled_from(LAYOUTS)),
    )
    case = evolve(
        case,
        source=case.source.contiguous(memory_format=data.draw(st.sampled_from(LAYOUTS))),
        temperature=temperature,
        scales=(data.draw(st.sampled_from([0.0, 0.1, 1e4])),),
    )
    value, slope = plain(case)
    hidden = (case.target == IGNORE_INDEX)[:, None].expand_as(case.learner)
    case.learner[hidden] = case.source[hidden] = data.draw(st.sampled_from([0.0, math.nan, math.inf, 1e30]))
    found, gradient = interpreted(case)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(value, rel=1e-6, abs=1e-6 * len(case.target) * temperature**2)
    rounding = 1e-6 if gradient.dtype == torch.float32 else STEP
    assert (gradient - slope).norm() <= rounding * (slope.norm() + 0.1 * case.scales[0] * temperature)
    assert gradient.stride() == case.learner.stride()
    assert not gradient[hidden].any()


@both_layouts
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_over_several_tiles_it_agrees_to_a_millionth(layout, temperature, made):
    case = evolve(made(size=(70, 90), layout=layout), temperature=temperature)
    case.target[0, 30:] = IGNORE_INDEX  # whole tiles of the first image
    value, slope = plain(case)
    found, gradient = interpreted(case)
    assert found.item() == pytest.approx(value, rel=1e-6)
    assert (gradient - slope).norm() <= 1e-6 * slope.norm()


@both_layouts
def test_a_tile_far_below_the_others_is_joined(layout, made):
    case = made(size=(70, 90), layout=layout, spread=1.0)
    case.learner[:, :, 40:] -= 500
    case.source[:, :, :40] -= 500
    value, slope = plain(case)
    found, gradient = interpreted(case)
    assert found.item() == pytest.approx(value, rel=1e-6)
    assert (gradient - slope).norm() <= 1e-6 * slope.norm()


@both_layouts
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_identical_predictions_diverge_by_0(layout, dtype, made):
    for other in LAYOUTS:
        case = evolve(made(size=(30, 40), spread=100.0, dtype=dtype, layout=layout), temperature=3.0)
        value, gradient = interpreted(evolve(case, source=case.learner.clone(memory_format=other)))
        assert value == 0
        assert not gradient.any()


def test_where_all_is_ignored_it_is_0(made):
    case = made(ignored=1.0)
    case.learner.fill_(math.nan)
    value, gradient = interpreted(case)
    assert value == 0
    assert not gradient.any()


@pytest.mark.parametrize("which", ["learner", "source"])
def test_a_nan_that_counts_is_seen(which, made):
    case = made(ignored=0.0)
    getattr(case, which)[0, 1, 2, 3] = math.nan
    value, _ = interpreted(case)
    assert value.isnan()


def test_two_calls_are_equal_to_the_bit(made):
    (value, gradient), (found, other) = (interpreted(made(size=(40, 50))) for _ in range(2))
    assert torch.equal(value, found)
    assert torch.equal(gradient, other)


def test_float64_goes_through_the_loss(made):
    case = made(dtype=torch.float64)
    value, slope = plain(case)
    found, gradient = interpreted(case)
    assert found.item() == pytest.approx(value, rel=1e-12)
    assert (gradient - slope).norm() <= 1e-12 * slope.norm()
