"""The Triton kernels on a GPU, compiled: the plain losses in float64 are the yardstick."""

from __future__ import annotations

import math
import os

import pytest
import torch
from attrs import frozen

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg_losses.channel import ChannelWiseLoss
from kdseg_losses.logit import PixelKLLoss
from kdseg_losses.supervised import CrossEntropyLoss

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        os.environ.get("TRITON_INTERPRET") == "1", reason="the kernels are interpreted here; run `pytest -m gpu`"
    ),
]

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())
CUDA = torch.device("cuda")
LAYOUTS = [torch.contiguous_format, torch.channels_last]
SCALES = {"pixels": (0.7, 0.3), "divergence": (0.7,), "channels": (0.2,)}
SHAPES = [
    (2, 19, 65, 77),
    (1, 2, 1, 1),
    (3, 5, 9, 13),
    (1, 150, 33, 40),
    (1, 33, 64, 64),
    (1, 500, 8, 12),
    (1, 600, 3, 4),
]

every_kind = pytest.mark.parametrize("kind", SCALES)
both_layouts = pytest.mark.parametrize("layout", LAYOUTS, ids=["contiguous", "channels_last"])
both_sources = pytest.mark.parametrize("other", LAYOUTS, ids=["from_contiguous", "from_channels_last"])


@frozen(eq=False)
class Case:
    """Logits and labels on the GPU, and the losses of one kind."""

    learner: torch.Tensor
    source: torch.Tensor
    target: torch.Tensor
    kind: str
    temperature: float = 4.0

    def modules(self):
        if self.kind == "channels":
            return [ChannelWiseLoss(self.temperature).to(CUDA)]
        weights = [1 + index / self.learner.shape[1] for index in range(self.learner.shape[1])]
        labels = [CrossEntropyLoss(weights, 0.1)] if self.kind == "pixels" else []
        return [module.to(CUDA) for module in (PixelKLLoss(self.temperature), *labels)]

    def scales(self):
        return torch.tensor(SCALES[self.kind], dtype=torch.float64, device=CUDA)

    def plain(self):
        """Values and gradient in float64."""
        logits = self.learner.detach().double().requires_grad_()
        learner, source = Prediction(logits=logits), Prediction(logits=self.source.double())
        values = torch.stack([module(learner, source, self.target, CALL) for module in self.modules()])
        (values @ self.scales()).backward()
        return values.detach(), logits.grad

    def offer(self):
        first, *others = self.modules()
        offer = first.fuse(others, device=CUDA, compiled=True)
        assert offer is not None
        assert offer.how == "by a Triton kernel"
        return offer

    def fused(self, offer=None, factor=1.0):
        """Values, and the gradient of the objective times a factor."""
        learner = self.learner.detach().requires_grad_()
        offer = offer or self.offer()
        objective, values = offer(
            Prediction(logits=learner), Prediction(logits=self.source), self.target, CALL, self.scales()
        )
        (factor * objective).backward()
        return values, learner.grad


def made(kind, shape=SHAPES[0], *, layout=LAYOUTS[0], other=LAYOUTS[0], dtype=torch.float32, ignored=0.2, spread=2.0):
    numbers = torch.Generator().manual_seed(0)
    learner, source = (spread * torch.randn(shape, generator=numbers) for _ in range(2))
    size = (shape[0], *shape[2:])
    target = torch.randint(0, shape[1], size, generator=numbers)
    target[torch.rand(size, generator=numbers) < ignored] = IGNORE_INDEX
    learner, source = learner.to(CUDA, dtype, memory_format=layout), source.to(CUDA, dtype, memory_format=other)
    return Case(learner, source, target.to(CUDA), kind)


def agree(case, step=0.0, factor=1.0):
    """Hold the kernel to the plain losses; a step of 2^-8 allows for the rounding of a gradient in bfloat16."""
    wanted, slope = case.plain()
    values, gradient = case.fused(factor=factor)
    counted = max(1, int((case.target != IGNORE_INDEX).sum()))
    worth = len(case.target) if case.kind == "channels" else counted
    assert values.tolist() == pytest.approx(wanted.tolist(), rel=1e-6, abs=1e-6 * case.temperature**2 * worth)
    steepest = 0.1 * math.sqrt(counted) * max(SCALES[case.kind]) * case.temperature
    assert (gradient - factor * slope).norm() <= factor * (1e-6 + step) * (slope.norm() + steepest)
    assert gradient.stride() == case.learner.stride()


@every_kind
@both_layouts
@both_sources
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradient_are_those_of_the_plain_losses(kind, layout, other, shape):
    agree(made(kind, shape, layout=layout, other=other))


@every_kind
@both_layouts
@pytest.mark.parametrize("ignored", [0.0, 0.98, 1.0])
def test_with_few_and_many_pixels_ignored(kind, layout, ignored):
    agree(made(kind, layout=layout, ignored=ignored))


@every_kind
@both_layouts
@pytest.mark.parametrize(("dtype", "step"), [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
def test_half_precision_is_computed_in_float32(kind, layout, dtype, step):
    agree(made(kind, layout=layout, dtype=dtype), step)


@every_kind
@both_layouts
def test_in_float32_they_agree_to_a_millionth(kind, layout):
    case = made(kind, (2, 19, 128, 200), layout=layout)
    wanted, slope = case.plain()
    values, gradient = case.fused()
    assert values.tolist() == pytest.approx(wanted.tolist(), rel=1e-6)
    assert (gradient - slope).norm() <= 1e-6 * slope.norm()


@every_kind
def test_a_factor_comes_with_the_backward_pass(kind):
    agree(made(kind), factor=3.0)
    agree(made(kind, dtype=torch.float16), step=2**-11, factor=2.0**10)


@every_kind
@both_layouts
@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf, 1e30])
def test_ignored_pixels_change_nothing(kind, layout, poison):
    clean, dirty = made(kind, layout=layout), made(kind, layout=layout)
    hidden = (clean.target == IGNORE_INDEX)[:, None].expand_as(clean.learner)
    dirty.learner[hidden] = dirty.source[hidden] = poison
    (values, gradient), (found, other) = clean.fused(), dirty.fused()
    assert torch.equal(values, found)
    assert torch.equal(gradient, other)
    assert not gradient[hidden].any()


@pytest.mark.parametrize("kind", ["divergence", "channels"])
@both_layouts
@both_sources
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [SHAPES[0], SHAPES[3]], ids=str)
def test_identical_predictions_diverge_by_0(kind, layout, other, dtype, shape):
    case = made(kind, shape, layout=layout, dtype=dtype, spread=100.0)
    same = Case(case.learner, case.learner.clone(memory_format=other), case.target, kind, temperature=3.0)
    values, gradient = same.fused()
    assert values.tolist() == [0]
    assert not gradient.any()


@every_kind
@both_layouts
def test_two_calls_are_equal_to_the_bit(kind, layout):
    (values, gradient), (found, other) = (made(kind, (4, 19, 256, 512), layout=layout).fused() for _ in range(2))
    assert torch.equal(values, found)
    assert torch.equal(gradient, other)


@every_kind
@both_layouts
@both_sources
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_nothing_waits_for_the_device(kind, layout, other, dtype):
    case = made(kind, layout=layout, other=other, dtype=dtype)
    offer, scales = case.offer(), case.scales()
    learner = case.learner.detach().requires_grad_()
    factor = torch.tensor(1024.0, device=CUDA)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        objective, _ = offer(Prediction(logits=learner), Prediction(logits=case.source), case.target, CALL, scales)
        (factor * objective).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert learner.grad.isfinite().all()


@every_kind
def test_the_gradient_is_the_only_map_that_is_kept(kind):
    case = made(kind, (4, 19, 256, 512), layout=torch.channels_last, other=torch.channels_last)
    offer, scales = case.offer(), case.scales()
    learner = case.learner.detach().requires_grad_()
    case.fused(offer)  # compiles, and fills torch's own workspaces
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    objective, _ = offer(Prediction(logits=learner), Prediction(logits=case.source), case.target, CALL, scales)
    objective.backward()
    map_size = learner.numel() * learner.element_size()
    assert torch.cuda.max_memory_allocated() - before < 1.5 * map_size


@every_kind
def test_without_a_compiler_gpus_get_the_plain_losses(kind):
    first, *others = made(kind).modules()
    assert first.fuse(others, device=CUDA, compiled=False) is None
