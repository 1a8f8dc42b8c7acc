"""Every registered loss on a GPU is the CPU's in float64, to rounding: value and gradient, alone and fused."""

from __future__ import annotations

import pytest
import torch
from loss_trials import BUNDLED, Scene, call, cases, changed, tensors

from kdseg.losses import LossModule
from kdseg_losses.supervised import CrossEntropyLoss

pytestmark = pytest.mark.gpu

SCENE = Scene(classes=5, images=3, rows=6, columns=8, ignored="scattered", seed=0)
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Of a value relative to itself, and of a gradient relative to its largest number."""
CASES = list(cases())
FUSIBLE = [case for case in CASES if type(case.values[0].of(SCENE).module()).fuse is not LossModule.fuse]
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def result(trial, device, dtype, layout="contiguous", seed=0):
    """Give the loss and the gradients of all tensors that the learner predicts."""

    def there(values):
        values = values.detach().to(device=device, dtype=dtype)
        return values.contiguous(memory_format=LAYOUTS[layout]).requires_grad_()

    learner, source = (changed(one, there) for one in trial.predictions())
    target = SCENE.labels().to(device)
    loss = trial.module(dtype).to(device)(learner, source, target, call(SCENE.images, device, seed))
    if loss.requires_grad:
        loss.backward()
    return [loss.detach(), *(values.grad for values in tensors(learner) if values.grad is not None)]


def assert_close(found, wanted, tolerance):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        largest = other.abs().max().item()
        torch.testing.assert_close(one.cpu().double(), other, rtol=tolerance, atol=tolerance * max(largest, 1e-6))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_a_loss_is_that_of_the_cpu(case, dtype, layout, device):
    trial = case.of(SCENE)
    wanted = result(trial, "cpu", torch.float64)
    found = result(trial, device, dtype, layout)
    assert all(values.device.type == device.type for values in found)
    if not torch.equal(wanted[0], result(trial, "cpu", torch.float64, seed=1)[0]):  # devices draw other numbers
        assert all(torch.isfinite(values).all() for values in found)
        pytest.skip("it draws numbers, which differ between devices: it was held to be finite")
    assert_close(found, wanted, TOLERANCES[dtype])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("case", FUSIBLE)
def test_what_it_offers_to_be_fused_as_is_that_of_the_cpu(case, dtype, compiled, layout, device):
    """The weighted sum and its gradient, alone and beside a cross-entropy."""
    trial, target = case.of(SCENE), SCENE.labels()
    offers = [
        trial.module(dtype).to(device).fuse(others, device=device, compiled=compiled)
        for others in ([], [CrossEntropyLoss(None, 0.0)])
    ]
    if not any(offers):
        pytest.skip("it makes no offer here")
    for fused in filter(None, offers):
        scales = torch.tensor([0.7, 1.3][: len(fused.modules)], dtype=torch.float64) / target.numel()
        learner, source = trial.predictions()
        plain = [trial.module(torch.float64), CrossEntropyLoss(None, 0.0)][: len(fused.modules)]
        values = torch.stack([one(learner, source, target, call(SCENE.images)) for one in plain])
        (scales @ values).backward()

        def there(values):
            values = values.detach().to(device=device, dtype=dtype)
            return values.contiguous(memory_format=LAYOUTS[layout]).requires_grad_()

        again, other = (changed(one, there) for one in trial.predictions())
        objective, found = fused(again, other, target.to(device), call(SCENE.images, device), scales.to(device))
        objective.backward()
        assert_close([found, again.logits.grad], [values.detach(), learner.logits.grad], TOLERANCES[dtype])


@pytest.mark.parametrize("entry", BUNDLED, ids=lambda entry: entry.name)
def test_half_precision_stays_finite(entry, device):
    trial = next(case.values[0] for case in CASES if case.values[0].cls is entry.cls).of(SCENE)
    for dtype in (torch.bfloat16, torch.float16):
        halves = [
            changed(one, lambda values, dtype=dtype: values.detach().to(device, dtype).requires_grad_())
            for one in trial.predictions()
        ]
        module = trial.module(torch.float32).to(device)
        loss = module(*halves, SCENE.labels().to(device), call(SCENE.images, device))
        loss.backward()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(values.grad).all() for values in tensors(halves[0]) if values.grad is not None)
