"""Several processes take the step that one would, and never drift apart."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess

import pytest
import torch
from accelerate.state import PartialState

from kdseg.engine.run import resume_run, run_recipe
from kdseg.hooks import Hooks

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

RECIPE = """
[train]
steps = 9
batch_size = 12
[models.teacher]
backbone = {{ use = "tiny", norm = "{norm}", width = 6 }}
optimizer = {{ use = "AdamW", lr = 1e-2 }}
clip = 0.5
[models.student]
backbone = {{ use = "tiny", norm = "{norm}" }}
optimizer = {{ use = "{optimizer}", lr = 1e-2 }}
[models.mean]
shadow_of = "student"
[turns]
order = ["teach", "study", "squeeze"]
[terms.teacher-labels]
turn = "teach"
learner = "teacher"
loss = "cross_entropy"
[terms.labels]
turn = "study"
learner = "student"
loss = {{ use = "{labels}" }}
[terms.mimic]
turn = "study"
learner = "student"
source = "teacher"
loss = {{ use = "feature_mimic", norm = "{norm}" }}
[terms.self]
turn = "study"
learner = "student"
source = "mean"
loss = "pixel_kl"
[terms.small]
turn = "squeeze"
learner = "student"
loss = "small_features"
[data]
dataset = {{ use = "squares", images = 26 }}
[callbacks.witness]
use = "witness"
"""
PRECISE = '[callbacks.precise]\nuse = "float64"\n'
PLAIN = RECIPE.format(norm="group", optimizer="AdamW", labels="cross_entropy") + PRECISE
DRIFTING = RECIPE.format(norm="batch", optimizer="AdamW", labels="learned_scale")
"""What each process sees of a batch differs, and with it every statistic that is kept: in networks and in losses."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture
def together():
    """Call a function in several processes that know of each other, as a launcher starts them; give their statuses."""

    def together(world, function):
        port = free_port()

        def work(rank):
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "1"}
            PartialState._reset_state()
            function()

        children = [multiprocessing.get_context("fork").Process(target=work, args=(rank,)) for rank in range(world)]
        for child in children:
            child.start()
        for child in children:
            child.join(120)
        return [child.exitcode for child in children]

    return together


@pytest.fixture
def processes(load, folder, together):
    """Run a recipe in several processes at once, and give the run's folder."""

    def processes(world, text, *settings):
        loaded = load(text, *settings)
        assert together(world, lambda: run_recipe(loaded)) == [0] * world
        return (folder / "runs" / "recipe" / "latest").resolve()

    return processes


def witness(run, rank=0):
    return torch.load(run / f"witness-{rank}.pt")


def flat(tree):
    if isinstance(tree, torch.Tensor):
        return [tree]
    return [tensor for value in tree.values() for tensor in flat(value)]


def assert_ranks_agree(run, world):
    first = flat(witness(run))
    for rank in range(1, world):
        assert all(torch.equal(mine, other) for mine, other in zip(first, flat(witness(run, rank)), strict=True))


@pytest.mark.parametrize("world", [2, 3])
def test_processes_take_the_step_of_one(processes, train, lines, world):
    """Within 1e-10, with losses per pixel and image, a projector, an encoder-only step, an idle learner and a shadow.

    26 images for validation divide by neither; the scores are those of one process all the same.
    """
    run = processes(world, PLAIN)
    assert_ranks_agree(run, world)
    alone = train(PLAIN, name="alone")
    for found, wanted in zip(flat(witness(run)), flat(witness(alone.folder)), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    for found, wanted in zip(lines(run), lines(alone), strict=True):
        assert found.keys() == wanted.keys()
        for name in found.keys() - {"seconds"}:
            assert found[name] == (
                pytest.approx(wanted[name], rel=1e-5) if name[:5] in ("loss/", "grad/") else wanted[name]
            ), name


def test_micro_batches_within_processes_take_it_too(processes, train):
    run, alone = processes(2, PLAIN, "train.micro_batches=3"), train(PLAIN, name="alone")
    for found, wanted in zip(flat(witness(run)), flat(witness(alone.folder)), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


def test_statistics_never_drift_apart(processes):
    """Batch normalisation in networks and in a projector, a loss with a weight, buffers and noise of its own."""
    run = processes(2, DRIFTING)
    assert_ranks_agree(run, 2)
    assert witness(run)["losses"]["labels"]["mean"] != 0


class Kill(Hooks):
    def on_step_end(self, run):
        if run.step == 5:
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_dies_ends_the_run_which_resumes_as_if_nothing_had_been(processes, together, load, folder):
    whole = flat(witness(processes(2, DRIFTING)))
    loaded = load(DRIFTING + '[checkpoint]\nevery = 2\nunit = "step"\n')
    killed, other = together(2, lambda: run_recipe(loaded, console=Kill))  # which the main process alone makes
    assert killed == -signal.SIGKILL
    assert other > 0
    run = (folder / "runs" / "recipe" / "latest").resolve()
    assert together(2, lambda: resume_run(run)) == [0, 0]
    assert_ranks_agree(run, 2)
    assert all(torch.equal(found, wanted) for found, wanted in zip(flat(witness(run)), whole, strict=True))


def test_accelerate_launch_runs_it(load, folder, python):
    load(DRIFTING)
    command = [python, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", free_port()]
    command += ["-m", "kdseg", "run", "recipe.toml"]
    environment = os.environ | {"ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(list((folder / "runs" / "recipe").glob("[0-9]*"))) == 1
    assert_ranks_agree(folder / "runs" / "recipe" / "latest", 2)
