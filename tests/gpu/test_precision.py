"""Half precision and torch.compile on a GPU."""

from __future__ import annotations

import json
import statistics

import pytest
from paradigms import PARADIGMS

from kdseg.hooks import Hooks

pytestmark = pytest.mark.gpu

TOLERANCE = 2e-5
"""Of weights after five steps with and without torch.compile, in float32."""


class KeepRun(Hooks):
    def on_run_start(self, run):
        self.run = run


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("name", ["alone", "alternating", "simultaneous"])
def test_learning_goes_on_in_half_precision(train, lines, device, name, precision):
    """Every value is finite, and each learner's labels are known better at the end than at the start."""
    if precision == "fp16" and device.type == "cpu":
        pytest.skip("fp16 needs a GPU")
    watcher = KeepRun()
    run = train(PARADIGMS[name], f"train.precision='{precision}'", "train.steps=80", watcher=watcher)
    text = (run.folder / "metrics.jsonl").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text
    told = [json.loads(line) for line in text.splitlines()]
    for term in (term for term in watcher.run.stepper.terms.values() if term.loss.role == "supervised"):
        values = [line[f"loss/{term.name}"] for line in told if f"loss/{term.name}" in line]
        assert statistics.mean(values[-10:]) < 0.9 * statistics.mean(values[:10]), term.name


def test_each_learner_has_a_scaler_of_its_own_in_fp16(train, device):
    if device.type == "cpu":
        pytest.skip("fp16 needs a GPU")
    watcher = KeepRun()
    train(PARADIGMS["simultaneous"], "train.precision='fp16'", "train.steps=20", watcher=watcher)
    learners = watcher.run.stepper.learners
    assert learners["student"].scaler is not learners["teacher"].scaler
    assert all(learner.scaler.is_enabled() and learner.scaler.get_scale() > 0 for learner in learners.values())
    assert all(learner.steps > 10 for learner in learners.values())


@pytest.mark.timeout(600)  # the compiler takes its time
@pytest.mark.filterwarnings("ignore")  # and its modules warn of each other
@pytest.mark.parametrize("name", ["alternating", "features"])
def test_compiled_networks_take_the_same_steps(train, weights, assert_same, name):
    settings = ("train.deterministic=true", "train.steps=5")
    plain = train(PARADIGMS[name], *settings, name="plain")
    compiled = train(PARADIGMS[name], *settings, "train.compile=true", name="compiled")
    for model in ("teacher", "student"):
        assert_same(weights(compiled, model), weights(plain, model), TOLERANCE)
