"""One run, taken up again and again from checkpoints that a test damages."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from attrs import evolve

from kdseg.engine.run import saving
from kdseg.engine.run.recorder import Recorder
from kdseg.engine.run.start import run_recipe
from kdseg.hooks import Hooks
from kdseg.recipe.load import load_recipe

PARTS = Path(__file__).parents[2] / "kdseg" / "engine"
RECIPE = f"""
plugins = ["{PARTS}/parts.py", "{PARTS}/part_losses.py"]
seed = 3
train = {{ steps = 7, batch_size = 4, workers = 0 }}
data = {{ dataset = "squares" }}
evaluate = {{ every = 3, unit = "step" }}
checkpoint = {{ every = 2, unit = "step", keep = 3 }}
output = {{ folder = "runs" }}
[models.teacher]
backbone = "tiny"
[models.student]
backbone = {{ use = "tiny", norm = "batch" }}
[models.mean]
shadow_of = "student"
[terms.labels]
learner = "student"
loss = "learned_scale"
[terms.teaching]
learner = "teacher"
loss = "cross_entropy"
"""


class Keep(Hooks):
    """Keeps the run, to be taken up again and again, and a copy of what a kill before its last step would leave."""

    def on_step_end(self, run):
        if run.step == 7:
            self.run = run
            shutil.copytree(run.folder / "checkpoints", run.folder / "kept")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    (folder / "job.toml").write_text(RECIPE, encoding="utf-8")
    keep, threads = Keep(), torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _handle: None)
        run_recipe(load_recipe(folder / "job.toml"), console=lambda: keep)
    torch.set_num_threads(threads)
    return keep.run


@pytest.fixture
def checkpoints(kept, tmp_path):
    """The checkpoints of steps 2, 4 and 6, to be damaged."""
    return shutil.copytree(kept.folder / "kept", tmp_path / "checkpoints")


@pytest.fixture
def take_up(kept, checkpoints, caplog):
    """Take up the run from the checkpoints as they are, and give at which step it stands, and what was told."""

    def take_up():
        caplog.clear()
        run = evolve(kept, folder=checkpoints.parent, recorder=Recorder(None), step=0)
        with caplog.at_level("WARNING", "kdseg"):
            saving.take_up(run, again=True)
        return run.step, list(caplog.messages)

    return take_up


@pytest.fixture
def witness(kept):
    """Give a hash of all that a checkpoint puts into the run."""

    def witness():
        parts = saving.parts_of(kept)
        modules = [*parts.networks.values(), *parts.losses.values()]
        tensors = [tensor.tolist() for module in modules for tensor in module.state_dict().values()]
        learners = [
            (learner.optimizer.state_dict()["state"], learner.schedule.state_dict(), learner.steps)
            for learner in parts.learners.values()
        ]
        return hashlib.sha256(repr((tensors, learners)).encode()).hexdigest()

    return witness


@pytest.fixture
def put(checkpoints):
    """Write a file of the newest checkpoint, and make its checksum right: tampering, not an accident."""

    def put(name, content):
        newest = checkpoints / "step-00000006"
        (newest / name).write_bytes(content)
        checksums = json.loads((newest / "checksums.json").read_text())
        checksums[name] = hashlib.sha256(content).hexdigest()
        (newest / "checksums.json").write_text(json.dumps(checksums))

    return put
