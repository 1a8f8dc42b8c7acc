"""The fused losses against the plain ones in float64, which tests of their own hold to the formulas."""

from __future__ import annotations

import math

import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.data.samples import IGNORE_INDEX

LAST = torch.channels_last
CONTIGUOUS = torch.contiguous_format
TINY = {torch.float32: 1e-6, torch.float64: 1e-12}

both_ways = pytest.mark.parametrize("compiled", [False, True], ids=["blocks", "compiled"])
both_layouts = pytest.mark.parametrize("layout", [CONTIGUOUS, LAST], ids=["contiguous", "channels_last"])


@both_ways
@settings(max_examples=60)
@given(data=st.data())
def test_values_and_gradient_are_those_of_the_plain_losses(compiled, data, made):
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]))
    classes = data.draw(st.integers(2, 150))
    case = made(
        images=data.draw(st.integers(1, 3)),
        classes=classes,
        size=(data.draw(st.integers(1, 20)), data.draw(st.integers(1, 40))),
        seed=data.draw(st.integers(0, 100)),
        ignored=data.draw(st.sampled_from([0.0, 0.3, 0.95, 1.0])),
        dtype=dtype,
        layout=data.draw(st.sampled_from([CONTIGUOUS, LAST])),
    )
    case = evolve(
        case,
        source=case.source.contiguous(memory_format=data.draw(st.sampled_from([CONTIGUOUS, LAST]))),
        temperature=data.draw(st.sampled_from([0.5, 1.0, 2.0, 3.0, 4.0])),
        labels=data.draw(st.booleans()),
        weights=data.draw(st.sampled_from([None, [(index % 7) / 2 for index in range(classes)]])),
        smoothing=data.draw(st.sampled_from([0.0, 0.1, 1.0])),
        scales=tuple(data.draw(st.sampled_from([0.0, 1e-7, 0.5, 1e6])) for _ in range(2)),
    )
    wanted, slope = case.plain()
    values, gradient = case.both(compiled=compiled)
    pixels = (case.target != IGNORE_INDEX).sum().item()
    worth = torch.tensor([case.temperature**2, 3.0], dtype=torch.float64)[: len(values)] * pixels  # cancels to less
    assert values.dtype == dtype
    assert ((values - wanted).abs() <= TINY[dtype] * (wanted + worth)).all()
    steepest = math.sqrt(pixels) * sum(
        scale * each for scale, each in zip(case.scales, (case.temperature, 3.0), strict=True)
    )
    assert (gradient - slope).norm() <= TINY[dtype] * (slope.norm() + 0.1 * steepest)
    assert gradient.stride() == case.learner.stride()


@both_ways
@both_layouts
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 3.0, 4.0])
def test_in_float32_they_agree_to_a_millionth(compiled, layout, temperature, made):
    case = made(classes=19, size=(65, 77), layout=layout)
    case = evolve(case, temperature=temperature, weights=[1 + index / 19 for index in range(19)], smoothing=0.1)
    wanted, slope = case.plain()
    values, gradient = case.both(compiled=compiled)
    assert values.tolist() == pytest.approx(wanted.tolist(), rel=1e-6)
    assert (gradient - slope).norm() <= 1e-6 * slope.norm()


@both_ways
def test_by_hand(compiled, made):
    """Two classes: p = (1/4, 3/4) of the learner, (1/2, 1/2) of the source, label 0."""
    learner = torch.tensor([0.0, math.log(3)]).view(1, 2, 1, 1)
    case = made.case(
        learner=learner,
        source=torch.zeros(1, 2, 1, 1),
        target=torch.zeros(1, 1, 1, dtype=torch.uint8),
        temperature=1.0,
        weights=[2.0, 5.0],
        scales=(1.0, 10.0),
    )
    values, gradient = case.both(compiled=compiled)
    assert values.tolist() == pytest.approx([math.log(2 / math.sqrt(3)), 2 * math.log(4)], rel=1e-6)
    assert gradient.flatten().tolist() == pytest.approx([-0.25 - 15, 0.25 + 15], rel=1e-6)


@both_ways
@both_layouts
@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf, 1e30])
def test_ignored_pixels_change_nothing(compiled, layout, poison, made):
    clean, dirty = made(layout=layout), made(layout=layout)
    hidden = (clean.target == IGNORE_INDEX)[:, None].expand_as(clean.learner)
    dirty.learner[hidden] = dirty.source[hidden] = poison
    (values, gradient), (found, other) = (case.both(compiled=compiled) for case in (clean, dirty))
    assert torch.equal(values, found)
    assert torch.equal(gradient, other)
    assert not gradient[hidden].any()


@both_ways
def test_where_all_is_ignored_both_are_0(compiled, made):
    case = made(ignored=1.0)
    case.learner.fill_(math.nan)
    values, gradient = case.both(compiled=compiled)
    assert values.tolist() == [0, 0]
    assert not gradient.any()


@both_ways
@pytest.mark.parametrize("which", ["learner", "source"])
def test_a_nan_that_counts_is_seen(compiled, which, made):
    case = made(ignored=0.0)
    getattr(case, which)[0, 1, 2, 3] = math.nan
    values, _ = case.both(compiled=compiled)
    assert values[0].isnan()
    assert values[1].isnan() == (which == "learner")


@both_ways
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_large_logits_are_finite(compiled, temperature, made):
    case = evolve(made(spread=1e4), temperature=temperature)
    wanted, slope = case.plain()
    values, gradient = case.both(compiled=compiled)
    assert values.tolist() == pytest.approx(wanted.tolist(), rel=1e-6)
    assert (gradient - slope).norm() <= 1e-6 * slope.norm()


@both_ways
@both_layouts
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("temperature", [1.0, 3.0, 4.0])
def test_identical_predictions_diverge_by_0(compiled, layout, dtype, temperature, made):
    for spread in (1.0, 1e4):
        case = evolve(made(spread=spread, dtype=dtype, layout=layout), labels=False, temperature=temperature)
        values, gradient = evolve(case, source=case.learner.detach().contiguous()).both(compiled=compiled)
        assert values.tolist() == [0]
        assert not gradient.any()


@both_ways
@both_layouts
@pytest.mark.parametrize(("dtype", "step"), [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
def test_half_precision_is_computed_in_float32(compiled, layout, dtype, step, made):
    case = made(classes=19, dtype=dtype, layout=layout)
    wanted, slope = case.plain()
    values, gradient = case.both(compiled=compiled)
    assert values.dtype == torch.float32
    assert values.tolist() == pytest.approx(wanted.tolist(), rel=1e-6)
    assert gradient.dtype == dtype
    assert ((gradient - slope).abs() <= step * slope.abs() + 1e-7).all()


def test_a_scaled_objective_keeps_gradients_that_float16_could_not_hold(made):
    """As a gradient scaler does: the scale comes with the backward pass, after the gradient is known."""
    case = evolve(made(dtype=torch.float16), scales=(1e-9, 1e-9))
    _, slope = case.plain()
    case.learner.requires_grad_()
    objective, _ = case.fused(compiled=False)
    (2.0**20 * objective).backward()
    assert ((case.learner.grad - 2**20 * slope).abs() <= 2**-11 * 2**20 * slope.abs() + 1e-7).all()


@both_ways
@both_layouts
def test_logits_of_another_layout_and_source_of_another_type(compiled, layout, made):
    whole = made(size=(18, 13), layout=layout)
    learner = whole.learner.requires_grad_()
    case = evolve(
        whole, learner=learner[:, :, ::2], source=whole.source[:, :, ::2].bfloat16(), target=whole.target[:, ::2]
    )
    wanted, slope = case.plain()
    objective, values = case.fused(compiled=compiled)
    objective.backward()
    assert values.tolist() == pytest.approx(wanted.tolist(), rel=1e-6)
    assert (learner.grad[:, :, ::2] - slope).norm() <= 1e-6 * slope.norm()
    assert not learner.grad[:, :, 1::2].any()


@both_ways
@both_layouts
@pytest.mark.parametrize("classes", [19, 150])
def test_the_number_of_threads_changes_no_bit(compiled, layout, classes, made):
    threads = torch.get_num_threads()
    found = []
    try:
        for number in (1, 2, 3, 5):
            torch.set_num_threads(number)
            case = made(images=1, classes=classes, size=(97, 131), layout=layout)
            found.append(evolve(case, temperature=3.0, smoothing=0.1).both(compiled=compiled))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(values, found[0][0]) for values, _ in found)
    assert all(torch.equal(gradient, found[0][1]) for _, gradient in found)
