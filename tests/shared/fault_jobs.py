"""Jobs of the engine's tiny parts that tests of faults begin, stop and spoil."""

from __future__ import annotations

from engine_runs import ENGINE

from kdseg.hooks import Hooks

PARTS = ENGINE / "parts.py"
LOSSES = ENGINE / "part_losses.py"


def student_job(steps: int, *, loss: str = "cross_entropy", evaluate: str = "") -> str:
    """Write a recipe in which a student learns from labels, with a checkpoint every second step."""
    return f"""
plugins = ["{PARTS}", "{LOSSES}"]
train = {{ steps = {steps}, batch_size = 4, workers = 0 }}
data = {{ dataset = "squares" }}
checkpoint = {{ every = 2, unit = "step" }}
output = {{ folder = "runs" }}
{evaluate}
[models.student]
backbone = "tiny"
[terms.labels]
learner = "student"
loss = "{loss}"
"""


class StopError(Exception):
    """What ends a run in its midst."""


class Stop(Hooks):
    """Ends a run after its third step, between two checkpoints."""

    def on_step_end(self, run):
        if run.step == 3:
            raise StopError
