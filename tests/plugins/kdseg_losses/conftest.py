"""Logits and labels for the fused pixel losses, and what the plain ones make of them."""

from __future__ import annotations

import pytest
import torch
from attrs import frozen

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg_losses.logit import PixelKLLoss
from kdseg_losses.supervised import CrossEntropyLoss

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())


@frozen(kw_only=True, eq=False)
class Case:
    """Logits of learner and source, labels, and the two losses with their scales."""

    learner: torch.Tensor
    source: torch.Tensor
    target: torch.Tensor
    temperature: float = 4.0
    labels: bool = True
    weights: list[float] | None = None
    smoothing: float = 0.0
    scales: tuple[float, ...] = (0.7, 0.3)

    def modules(self):
        divergence = PixelKLLoss(self.temperature)
        return [divergence, CrossEntropyLoss(self.weights, self.smoothing)] if self.labels else [divergence]

    def plain(self):
        """Values and gradient in float64."""
        logits = self.learner.detach().double().clone().requires_grad_()
        learner, source = Prediction(logits=logits), Prediction(logits=self.source.double())
        values = torch.stack([module(learner, source, self.target, CALL) for module in self.modules()])
        (values @ torch.tensor(self.scales[: len(values)], dtype=torch.float64)).backward()
        return values.detach(), logits.grad

    def fused(self, loss=None, *, compiled=False):
        """Objective and values, by this loss or by what the plain one offers; gradient goes to the learner's logits."""
        if loss is None:
            divergence, *others = self.modules()
            loss = divergence.fuse(others, device=torch.device("cpu"), compiled=compiled)
        scales = torch.tensor(self.scales[: len(loss.modules)], dtype=torch.float64)
        return loss(Prediction(logits=self.learner), Prediction(logits=self.source), self.target, CALL, scales)

    def both(self, loss=None, *, compiled=False):
        """Values and gradient."""
        self.learner.requires_grad_()
        objective, values = self.fused(loss, compiled=compiled)
        objective.backward()
        return values, self.learner.grad


def _made(
    *,
    images=2,
    classes=5,
    size=(9, 13),
    seed=0,
    spread=2.0,
    ignored=0.2,
    dtype=torch.float32,
    layout=torch.contiguous_format,
):
    """Random logits and labels, a share of which is ignored."""
    numbers = torch.Generator().manual_seed(seed)
    learner, source = (spread * torch.randn(images, classes, *size, generator=numbers) for _ in range(2))
    target = torch.randint(0, classes, (images, *size), generator=numbers)
    target[torch.rand(target.shape, generator=numbers) < ignored] = IGNORE_INDEX
    return Case(
        learner=learner.to(dtype, memory_format=layout), source=source.to(dtype, memory_format=layout), target=target
    )


@pytest.fixture(scope="session")
def made():
    """Make random cases; `made.case` is their class."""
    _made.case = Case
    return _made
