"""Fused channel-wise distillation against the formula, in slow float64 numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, LossModule, Prediction
from kdseg_losses.fused_channel import FusedChannelWise

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())
LAYOUTS = [torch.contiguous_format, torch.channels_last]
TINY = {torch.float32: 1e-6, torch.float64: 1e-12}
both_layouts = pytest.mark.parametrize("layout", LAYOUTS, ids=["contiguous", "channels_last"])


def formula(learner, source, target, temperature):
    """Value and gradient: T^2 / C times the divergence of each channel's softmax over the image's valid pixels."""
    learner, source, target = learner.detach().double().numpy(), source.double().numpy(), target.numpy()
    value, gradient = 0.0, np.zeros_like(learner)
    for image, channel in np.ndindex(*learner.shape[:2]):
        valid = target[image] != IGNORE_INDEX
        if not valid.any():
            continue
        z, v = (logits[image, channel][valid] / temperature for logits in (learner, source))
        log_z, log_v = (logits - logits.max() - np.log(np.exp(logits - logits.max()).sum()) for logits in (z, v))
        value += temperature**2 / learner.shape[1] * (np.exp(log_v) * (log_v - log_z)).sum()
        gradient[image, channel][valid] = temperature / learner.shape[1] * (np.exp(log_z) - np.exp(log_v))
    return value, torch.from_numpy(gradient)


def logits(images, classes, size, *, seed=0, spread=2.0, dtype=torch.float32, layout=torch.contiguous_format):
    numbers = torch.Generator().manual_seed(seed)
    made = (spread * torch.randn(images, classes, *size, generator=numbers) for _ in range(2))
    return [one.to(dtype, memory_format=layout) for one in made]


def labels(images, size, share, seed=0):
    numbers = torch.Generator().manual_seed(seed)
    return torch.zeros(images, *size, dtype=torch.int64).masked_fill(
        torch.rand(images, *size, generator=numbers) < share, IGNORE_INDEX
    )


def fused(learner, source, target, temperature, scale=1.0):
    """Value and the learner's gradient."""
    learner.requires_grad_()
    loss = FusedChannelWise(LossModule(), temperature)
    scales = torch.tensor([scale], dtype=torch.float64)
    objective, values = loss(Prediction(logits=learner), Prediction(logits=source), target, CALL, scales)
    objective.backward()
    return values, learner.grad


@settings(max_examples=40)
@given(data=st.data())
def test_it_is_the_formula(data):
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]))
    images, classes = data.draw(st.integers(1, 3)), data.draw(st.integers(2, 40))
    size = (data.draw(st.integers(1, 20)), data.draw(st.integers(1, 40)))
    seed, share = data.draw(st.integers(0, 100)), data.draw(st.sampled_from([0.0, 0.3, 0.98, 1.0]))
    temperature, scale = data.draw(st.sampled_from([0.5, 1.0, 3.0, 4.0])), data.draw(st.sampled_from([0.0, 0.1, 1e4]))
    learner, source = logits(images, classes, size, seed=seed, dtype=dtype, layout=data.draw(st.sampled_from(LAYOUTS)))
    source = source.contiguous(memory_format=data.draw(st.sampled_from(LAYOUTS)))
    target = labels(images, size, share, seed)
    value, slope = formula(learner, source, target, temperature)
    (found,), gradient = fused(learner, source, target, temperature, scale)
    assert found.dtype == dtype
    assert found.item() == pytest.approx(value, rel=TINY[dtype], abs=TINY[dtype] * images * temperature**2)
    assert (gradient - scale * slope).norm() <= TINY[dtype] * scale * (slope.norm() + 0.1 * temperature)
    assert gradient.stride() == learner.stride()


@both_layouts
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_over_several_blocks_it_agrees_to_a_millionth(layout, temperature):
    size = (120, 150)
    (learner, source), target = logits(2, 5, size, layout=layout), labels(2, size, 0.2)
    target[0, 50:] = IGNORE_INDEX  # whole blocks of the first image
    value, slope = formula(learner, source, target, temperature)
    (found,), gradient = fused(learner, source, target, temperature)
    assert found.item() == pytest.approx(value, rel=1e-6)
    assert (gradient - slope).norm() <= 1e-6 * slope.norm()


@both_layouts
@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf, 1e30])
def test_ignored_pixels_change_nothing(layout, poison):
    size, results = (9, 13), []
    target = labels(3, size, 0.3)
    target[1] = IGNORE_INDEX
    hidden = (target == IGNORE_INDEX)[:, None].expand(3, 5, *size)
    for filling in (0.0, poison):
        learner, source = logits(3, 5, size, layout=layout)
        learner[hidden] = source[hidden] = filling
        results.append(fused(learner, source, target, 4.0))
    (values, gradient), (found, other) = results
    assert torch.equal(values, found)
    assert torch.equal(gradient, other)
    assert not gradient[hidden].any()


@both_layouts
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_identical_predictions_and_large_logits(layout, dtype):
    size = (9, 13)
    target = labels(2, size, 0.2)
    for spread in (1.0, 1e4):
        learner, source = logits(2, 5, size, spread=spread, dtype=dtype, layout=layout)
        values, gradient = fused(learner, learner.detach().contiguous(), target, 3.0)
        assert values.tolist() == [0]
        assert not gradient.any()
        values, gradient = fused(source.clone(), learner.detach(), target, 3.0)
        assert values.isfinite().all()
        assert gradient.isfinite().all()


@both_layouts
@pytest.mark.parametrize(("dtype", "step"), [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
def test_half_precision_is_computed_in_float32(layout, dtype, step):
    size = (9, 13)
    (learner, source), target = logits(2, 5, size, dtype=dtype, layout=layout), labels(2, size, 0.2)
    value, slope = formula(learner, source, target, 4.0)
    (found,), gradient = fused(learner, source, target, 4.0)
    assert found.item() == pytest.approx(value, rel=1e-6)
    assert gradient.dtype == dtype
    assert ((gradient - slope).abs() <= step * slope.abs() + 1e-7).all()


@both_layouts
def test_the_number_of_threads_changes_no_bit(layout):
    threads, size, found = torch.get_num_threads(), (97, 131), []
    try:
        for number in (1, 2, 3, 5):
            torch.set_num_threads(number)
            found.append(fused(*logits(1, 37, size, layout=layout), labels(1, size, 0.2), 3.0))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(values, found[0][0]) for values, _ in found)
    assert all(torch.equal(gradient, found[0][1]) for _, gradient in found)


def test_a_nan_that_counts_is_seen():
    (learner, source), target = logits(1, 3, (4, 5)), labels(1, (4, 5), 0.0)
    learner[0, 1, 2, 3] = math.nan
    values, _ = fused(learner, source, target, 1.0)
    assert values.isnan().all()
