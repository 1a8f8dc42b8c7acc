"""The Triton kernel of the pixel losses, by Triton's interpreter, against the plain losses in float64."""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
import textwrap

import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.data.samples import IGNORE_INDEX
from kdseg_losses import triton_probe
from kdseg_losses.channel import ChannelWiseLoss
from kdseg_losses.logit import PixelKLLoss
from kdseg_losses.supervised import CrossEntropyLoss

pytest.importorskip("triton", reason="Triton has no build for this system")

from kdseg_losses import fused_triton, fused_triton_channel, triton_tiles

LAYOUTS = [torch.contiguous_format, torch.channels_last]
STEP = 2**-7  # of bfloat16: the interpreter cuts it off where a GPU rounds
CUDA = torch.device("cuda")
both_layouts = pytest.mark.parametrize("layout", LAYOUTS, ids=["contiguous", "channels_last"])


@pytest.fixture
def asked_anew(caplog):
    """Nothing is known of any device, and the log is in hand."""
    caplog.set_level(logging.INFO)
    triton_probe.works.cache_clear()
    triton_probe._tell.cache_clear()
    yield caplog
    triton_probe.works.cache_clear()
    triton_probe._tell.cache_clear()


def interpreted(case):
    """Values and gradient by the kernel."""
    divergence, *labels = case.modules()
    return case.both(fused_triton.TritonPixels(divergence, labels[0] if labels else None))


@settings(max_examples=40)
@given(data=st.data())
def test_values_and_gradient_are_those_of_the_plain_losses(data, made):
    classes = data.draw(st.one_of(st.integers(2, 40), st.integers(2, 150)))
    case = made(
        images=data.draw(st.integers(1, 3)),
        classes=classes,
        size=(data.draw(st.integers(1, 9)), data.draw(st.integers(1, 20))),
        seed=data.draw(st.integers(0, 100)),
        ignored=data.draw(st.sampled_from([0.0, 0.3, 0.95, 1.0])),
        dtype=data.draw(st.sampled_from([torch.float32, torch.bfloat16])),
        layout=data.draw(st.sampled_from(LAYOUTS)),
    )
    case = evolve(
        case,
        source=case.source.contiguous(memory_format=data.draw(st.sampled_from(LAYOUTS))),
        target=case.target.to(data.draw(st.sampled_from([torch.uint8, torch.int64]))),
        temperature=data.draw(st.sampled_from([0.01, 0.5, 1.0, 3.0, 4.0, 100.0])),
        labels=data.draw(st.booleans()),
        weights=data.draw(st.sampled_from([None, [(index % 7) / 2 for index in range(classes)]])),
        smoothing=data.draw(st.sampled_from([0.0, 0.1, 1.0])),
        scales=tuple(data.draw(st.sampled_from([0.0, 1e-7, 0.5, 1e6])) for _ in range(2)),
    )
    wanted, slope = case.plain()
    hidden = (case.target == IGNORE_INDEX)[:, None].expand_as(case.learner)
    case.learner[hidden] = case.source[hidden] = data.draw(st.sampled_from([0.0, math.nan, math.inf, 1e30]))
    values, gradient = interpreted(case)
    pixels = (case.target != IGNORE_INDEX).sum().item()
    worth = torch.tensor([case.temperature**2, 3.0], dtype=torch.float64)[: len(values)] * pixels  # cancels to less
    assert values.dtype == torch.float32
    assert ((values - wanted).abs() <= 1e-6 * (wanted + worth)).all()
    steepest = math.sqrt(pixels) * sum(
        scale * each for scale, each in zip(case.scales, (case.temperature, 3.0), strict=True)
    )
    rounding = 1e-6 if gradient.dtype == torch.float32 else STEP
    assert (gradient - slope).norm() <= rounding * (slope.norm() + 0.1 * steepest)
    assert gradient.stride() == case.learner.stride()
    assert not gradient[hidden].any()


@both_layouts
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_in_float32_they_agree_to_a_millionth(layout, temperature, made):
    case = made(classes=19, size=(35, 37), layout=layout)
    case = evolve(case, temperature=temperature, weights=[1 + index / 19 for index in range(19)], smoothing=0.1)
    wanted, slope = case.plain()
    values, gradient = interpreted(case)
    assert values.tolist() == pytest.approx(wanted.tolist(), rel=1e-6)
    assert (gradient - slope).norm() <= 1e-6 * slope.norm()


@pytest.mark.parametrize(("dtype", "step"), [(torch.bfloat16, STEP), (torch.float16, 2**-11)])
def test_half_precision_is_computed_in_float32(dtype, step, made):
    case = made(classes=19, dtype=dtype)
    wanted, slope = case.plain()
    values, gradient = interpreted(case)
    assert values.dtype == torch.float32
    assert values.tolist() == pytest.approx(wanted.tolist(), rel=1e-6)
    assert gradient.dtype == dtype
    assert ((gradient - slope).abs() <= step * slope.abs() + 1e-7).all()


def test_a_gradient_scaler_reaches_what_float16_could_not_hold(made):
    case = evolve(made(dtype=torch.float16), scales=(1e-9, 1e-9))
    _, slope = case.plain()
    case.learner.requires_grad_()
    objective, _ = case.fused(fused_triton.TritonPixels(*case.modules()))
    (2.0**20 * objective).backward()
    assert ((case.learner.grad - 2**20 * slope).abs() <= 2**-11 * 2**20 * slope.abs() + 1e-7).all()


@both_layouts
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_identical_predictions_diverge_by_0(layout, dtype, made):
    for other in LAYOUTS:
        case = evolve(made(spread=100.0, dtype=dtype, layout=layout), labels=False, temperature=3.0)
        values, gradient = interpreted(evolve(case, source=case.learner.clone(memory_format=other)))
        assert values.tolist() == [0]
        assert not gradient.any()


def test_where_all_is_ignored_both_are_0(made):
    case = made(ignored=1.0)
    case.learner.fill_(math.nan)
    values, gradient = interpreted(case)
    assert values.tolist() == [0, 0]
    assert not gradient.any()


@pytest.mark.parametrize("which", ["learner", "source"])
def test_a_nan_that_counts_is_seen(which, made):
    case = made(ignored=0.0)
    getattr(case, which)[0, 1, 2, 3] = math.nan
    values, _ = interpreted(case)
    assert values[0].isnan()
    assert values[1].isnan() == (which == "learner")


@pytest.mark.parametrize("label", [5, 200, -1])
def test_a_label_that_is_no_class_makes_the_loss_nan(label, made):
    case = evolve(made(classes=5), weights=[1.0] * 5)
    case.target[0, 0, 0] = label
    values, _ = interpreted(case)
    assert values[0].isfinite()
    assert values[1].isnan()


def test_two_calls_are_equal_to_the_bit(made):
    (values, gradient), (found, other) = (interpreted(made(classes=19, size=(20, 30))) for _ in range(2))
    assert torch.equal(values, found)
    assert torch.equal(gradient, other)


def test_a_second_backward_pass_is_refused(made):
    case = made()
    case.learner.requires_grad_()
    objective, _ = case.fused(fused_triton.TritonPixels(*case.modules()))
    objective.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="second backward pass through fused losses"):
        objective.backward()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_what_no_kernel_takes_goes_through_the_losses(dtype, monkeypatch, made):
    monkeypatch.setattr(fused_triton, "_MOST_CLASSES", 4)
    monkeypatch.setattr(fused_triton, "in_one_kernel", None)
    case = made(dtype=dtype)
    wanted, slope = case.plain()
    values, gradient = interpreted(case)
    assert values.tolist() == pytest.approx(wanted.tolist(), rel=1e-6)
    assert (gradient - slope).norm() <= 1e-6 * slope.norm()


def test_the_trials_pass_here_and_see_a_wrong_result(monkeypatch):
    for kernels in (fused_triton, fused_triton_channel):
        kernels.try_out(torch.device("cpu"))
        with monkeypatch.context() as other:
            other.setattr(kernels, "multiply_", lambda gradient, factor: gradient.mul_(3))
            with pytest.raises(ArithmeticError, match="instead of"):
                kernels.try_out(torch.device("cpu"))


def test_a_gpu_gets_the_kernels_where_they_work(asked_anew, monkeypatch):
    tried = []
    for kernels in (fused_triton, fused_triton_channel):
        monkeypatch.setattr(kernels, "try_out", tried.append)
    divergence, labels, channels = PixelKLLoss(4.0), CrossEntropyLoss(None, 0.0), ChannelWiseLoss(4.0)
    for _ in range(2):
        offer = divergence.fuse([labels], device=CUDA, compiled=True)
        assert offer.how == channels.fuse([], device=CUDA, compiled=True).how == triton_tiles.HOW
    assert list(offer.modules) == [divergence, labels]
    assert tried == [CUDA, CUDA]
    assert divergence.fuse([], device=CUDA, compiled=False) is None
    assert channels.fuse([], device=CUDA, compiled=False) is None
    assert divergence.fuse([], device=torch.device("mps"), compiled=True) is None
    assert channels.fuse([], device=torch.device("mps"), compiled=True) is None
    assert not asked_anew.records


@pytest.mark.parametrize("missing", [True, False])
def test_without_triton_or_a_compiler_the_plain_losses_do(missing, asked_anew, monkeypatch):
    def broken(device):
        raise RuntimeError("Failed to find C compiler.\nSet CC.")

    for kernels in (fused_triton, fused_triton_channel):
        if missing:
            monkeypatch.delitem(sys.modules, kernels.__name__)
        monkeypatch.setattr(kernels, "try_out", broken)
    if missing:
        monkeypatch.delitem(sys.modules, "kdseg_losses.triton_tiles")
        monkeypatch.setitem(sys.modules, "triton", None)
    for _ in range(2):
        assert PixelKLLoss(4.0).fuse([], device=CUDA, compiled=True) is None
        assert ChannelWiseLoss(4.0).fuse([], device=CUDA, compiled=True) is None
    (line,) = [record.getMessage() for record in asked_anew.records if record.levelno == logging.WARNING]
    assert line.startswith("losses are computed one by one, which takes longer: ")
    assert ("triton" if missing else "RuntimeError: Failed to find C compiler.") in line


@pytest.mark.slow
def test_the_kernels_compile_for_a_gpu_that_is_not_here(tmp_path):
    """The interpreter takes more than the compiler does; Triton's wheel brings all that it takes to compile."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            import triton
            from triton.backends.compiler import GPUTarget
            from triton.compiler import ASTSource

            from kdseg_losses import fused_triton, fused_triton_channel, triton_tiles

            KINDS = {"learner": "*bf16", "source": "*fp32", "target": "*i64", "weights": "*fp32", "scales": "*fp64",
                     "gradient": "*bf16", "sums": "*fp64", "parts": "*fp32", "facts": "*fp32", "temperature": "fp32",
                     "values": "*fp32", "factor": "*fp32"}
            TILE = {"tile": 16, "room": 32, "block": 1024}

            def compiles(kernel, **constants):
                constants = {name: value for name, value in (TILE | constants).items() if name in kernel.arg_names}
                kinds = {name: KINDS.get(name, "i32") for name in kernel.arg_names}
                kinds |= dict.fromkeys(constants, "constexpr")
                places = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
                target = GPUTarget("cuda", 80, 32)
                made = triton.compile(ASTSource(kernel, kinds, places), target=target, options=triton_tiles.EXACT)
                assert made.asm["cubin"]

            compiles(fused_triton._pixels, with_labels=True, smoothing=0.1)
            compiles(fused_triton._pixels, with_labels=True, smoothing=0.0, weights=None, written_class_step=1)
            compiles(fused_triton._pixels, with_labels=False, smoothing=0.0, weights=None)
            compiles(fused_triton_channel._parts)
            compiles(fused_triton_channel._slopes)
            compiles(triton_tiles._multiply)
        """),
        encoding="utf-8",
    )
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run([sys.executable, str(script)], check=True, env=environment)
