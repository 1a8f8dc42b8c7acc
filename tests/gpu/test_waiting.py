"""No step waits for the GPU: what it would take to read a value back is not in it."""

from __future__ import annotations

import pytest
import torch
from paradigms import PARADIGMS, TRAINED

from kdseg.engine.learn.step import Stepper

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype:UserWarning"),
]

WARM = 4
"""Steps in which kernels are chosen and loaded, which may wait."""


@pytest.fixture
def strict(monkeypatch, device):
    """Let whatever waits for the device in a step raise, once the first are over; give the steps that were watched."""
    take, watched = Stepper.take, []

    def take_strictly(self, step, micro_batches, *, insight=False):
        if step < WARM or device.type != "cuda":
            return take(self, step, micro_batches, insight=insight)
        torch.cuda.set_sync_debug_mode("error")
        try:
            report = take(self, step, micro_batches, insight=insight)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        watched.append(step)
        return report

    monkeypatch.setattr(Stepper, "take", take_strictly)
    return watched


@pytest.mark.parametrize("name", [name for name in PARADIGMS if name not in (TRAINED, "offline")])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_step_waits(train, strict, device, name, precision):
    train(PARADIGMS[name], "tracking.insight_every=0", "train.steps=10", f"train.precision='{precision}'")
    assert strict == ([*range(WARM, 10)] if device.type == "cuda" else [])


def test_nor_with_a_frozen_teacher(train, strict, device):
    train(PARADIGMS[TRAINED], "tracking.insight_every=0", "output.folder='cpu'", name=TRAINED)
    strict.clear()
    train(PARADIGMS["offline"], "tracking.insight_every=0", "train.steps=10")
    assert len(strict) == (10 - WARM if device.type == "cuda" else 0)
