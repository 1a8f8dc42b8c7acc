"""The main job, killed at random moments and resumed as a cluster would, ends as if nobody had touched it."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from kdseg.engine.run.start import run_recipe

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create .* worker processes:UserWarning"),  # on one core
]

MAIN_JOB = Path(__file__).parents[4] / "recipes" / "online_alternating.toml"
SHRUNK = (
    "train.steps_of.student=24",
    "data.dataset.size=[32, 64]",
    "data.dataset.images=24",
    "models.teacher.backbone.base=4",
    "models.student.backbone.base=4",
    "evaluate.every=9",
    "checkpoint.every=2",
    "output.folder='runs'",
)
PAIRWISE = [
    (0, "step", 1, "fp32"),
    (0, "epoch", 2, "bf16"),
    (1, "step", 2, "bf16"),
    (1, "epoch", 1, "fp32"),
    (2, "step", 1, "bf16"),
    (2, "epoch", 2, "fp32"),
]
"""Loader workers, unit of turns, micro-batches, precision: any two values stand together in some row."""
KILLS = 5
"""Of each row, 30 in all, every second one in the midst of writing a checkpoint."""


@pytest.fixture
def start_and_kill(folder):
    """Start a run, or go on with it, and kill it after some seconds; True where it had ended by then."""

    def start_and_kill(loaded, seconds, *, while_writing):
        child = multiprocessing.get_context("fork").Process(target=lambda: run_recipe(loaded, resume=True))
        child.start()
        child.join(seconds)
        while while_writing and child.is_alive() and not any(folder.glob("runs/killed/*/checkpoints/.step-*")):
            pass  # a checkpoint is written in milliseconds
        if child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode in (0, -signal.SIGKILL)
        return child.exitcode == 0

    return start_and_kill


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "unit", "micro_batches", "precision"), PAIRWISE)
def test_the_main_job_survives_every_kill(
    load, train, start_and_kill, contents, folder, workers, unit, micro_batches, precision
):
    settings = (
        *SHRUNK,
        f"train.workers={workers}",
        f"turns.unit='{unit}'",
        f"train.micro_batches={micro_batches}",
        f"train.precision='{precision}'",
    )
    began = time.monotonic()
    whole = contents(train("", *settings, name="whole", extends=MAIN_JOB).folder)
    whole_run = time.monotonic() - began
    moments = random.Random(f"{settings}")
    loaded = load("", *settings, name="killed", extends=MAIN_JOB)
    kills = 0
    while kills < KILLS:
        if not start_and_kill(loaded, moments.uniform(0, whole_run), while_writing=kills % 2 == 1):
            kills += 1
    run_recipe(loaded, resume=True)
    for run in (path.parent for path in folder.glob("runs/killed/[0-9]*/summary.json")):
        found = contents(run)
        assert found.keys() == whole.keys()
        assert [file for file in found if found[file] != whole[file]] == []
