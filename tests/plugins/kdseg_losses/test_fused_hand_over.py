"""How the fused losses hand their gradient over, what they take and what they refuse."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve, frozen

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg_losses import fused
from kdseg_losses.logit import PixelKLLoss
from kdseg_losses.supervised import CrossEntropyLoss, FocalLoss

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())
SCALES = torch.tensor([0.7, 0.3], dtype=torch.float64)

both_ways = pytest.mark.parametrize("compiled", [False, True], ids=["blocks", "compiled"])
both_layouts = pytest.mark.parametrize(
    "layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"]
)


@frozen(eq=False)
class Case:
    learner: torch.Tensor
    source: torch.Tensor
    target: torch.Tensor

    def plain_gradient(self):
        """The gradient in float64, by the plain losses."""
        logits = self.learner.detach().double().requires_grad_()
        learner, source = Prediction(logits=logits), Prediction(logits=self.source.double())
        values = [loss(learner, source, self.target, CALL) for loss in (PixelKLLoss(4.0), CrossEntropyLoss(None, 0.0))]
        (torch.stack(values) @ SCALES).backward()
        return logits.grad

    def fused(self, *, compiled):
        loss = PixelKLLoss(4.0).fuse([CrossEntropyLoss(None, 0.0)], device=torch.device("cpu"), compiled=compiled)
        return loss(Prediction(logits=self.learner), Prediction(logits=self.source), self.target, CALL, SCALES)


def made(layout=torch.contiguous_format):
    numbers = torch.Generator().manual_seed(0)
    learner, source = (torch.randn(2, 5, 9, 13, generator=numbers).contiguous(memory_format=layout) for _ in range(2))
    target = torch.randint(0, 5, (2, 9, 13), generator=numbers)
    target[:, 2] = IGNORE_INDEX
    return Case(learner.requires_grad_(), source, target)


@both_ways
@both_layouts
def test_the_gradient_is_handed_over_without_a_copy(compiled, layout, monkeypatch):
    places = []
    name = "in_one_pass" if compiled else "in_blocks"
    compute = getattr(fused, name)

    def noted(*given):
        gradient, sums = compute(*given)
        places.append(gradient.data_ptr())
        return gradient, sums

    monkeypatch.setattr(fused, name, noted)
    case = made(layout)
    objective, _ = case.fused(compiled=compiled)
    objective.backward()
    assert [case.learner.grad.data_ptr()] == places
    assert case.learner.grad.stride() == case.learner.stride()


@both_ways
def test_a_second_backward_pass_is_refused(compiled):
    case = made()
    objective, _ = case.fused(compiled=compiled)
    objective.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="second backward pass through fused losses"):
        objective.backward()


@both_ways
def test_the_objective_may_be_part_of_a_sum(compiled):
    case = made()
    slope = case.plain_gradient()
    objective, values = case.fused(compiled=compiled)
    assert not values.requires_grad
    assert objective.item() == pytest.approx((values.double() @ SCALES).item(), rel=1e-6)
    (3 * objective + case.learner.sum()).backward()
    assert (case.learner.grad - (3 * slope + 1)).norm() <= 1e-6 * slope.norm() + 1e-5


def test_what_it_takes():
    divergence, entropy = PixelKLLoss(1.0), CrossEntropyLoss(None, 0.0)
    others = [FocalLoss(None, 2.0), entropy, CrossEntropyLoss(None, 0.1), PixelKLLoss(2.0)]
    assert list(divergence.fuse(others, device=torch.device("cpu"), compiled=False).modules) == [divergence, entropy]
    assert list(divergence.fuse([], device=torch.device("cpu"), compiled=False).modules) == [divergence]
    assert divergence.fuse(others, device=torch.device("meta"), compiled=False) is None
    divergence.direction = "reverse"
    assert divergence.fuse(others, device=torch.device("cpu"), compiled=False) is None


@both_ways
def test_shapes_that_do_not_fit_are_refused(compiled):
    case = made()
    for other in (
        evolve(case, source=case.source[:, :4]),
        evolve(case, source=case.source[..., :8]),
        evolve(case, target=case.target[:1]),
    ):
        with pytest.raises(ValueError, match=r"the learner's logits are \(2, 5, 9, 13\)"):
            other.fused(compiled=compiled)


def test_a_label_that_is_no_class_is_refused():
    case = made()
    case.target[0, 3, 4] = 5
    with pytest.raises(IndexError, match=r"labels 0 to 5; classes are 0 to 4, and 255 is ignored"):
        case.fused(compiled=True)
    with pytest.raises(RuntimeError, match="out of bounds"):
        case.fused(compiled=False)


def test_threads_are_given_back_after_an_error():
    case = made()
    case.target[0, 3, 4] = 5
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError):
            case.fused(compiled=False)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
