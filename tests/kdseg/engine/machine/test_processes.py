"""Several processes take the step that one would, and never drift apart."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest
from terms import term

from kdseg.engine.run.start import resume_run, run_recipe
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
[data]
dataset = {{ use = "squares", images = 26 }}
[callbacks.witness]
use = "witness"
"""
RECIPE += term("teacher-labels", "teacher", turn="teach")
RECIPE += term("labels", "student", '{{ use = "{labels}" }}', turn="study")
RECIPE += term("mimic", "student", '{{ use = "feature_mimic", norm = "{norm}" }}', source="teacher", turn="study")
RECIPE += term("self", "student", "pixel_kl", source="mean", turn="study")
RECIPE += term("small", "student", "small_features", turn="squeeze")
PRECISE = '[callbacks.precise]\nuse = "float64"\n'
PLAIN = RECIPE.format(norm="group", optimizer="AdamW", labels="cross_entropy") + PRECISE
DRIFTING = RECIPE.format(norm="batch", optimizer="AdamW", labels="learned_scale")
"""What each process sees of a batch differs, and with it every statistic that is kept: in networks and in losses."""


@pytest.mark.parametrize("world", [2, 3])
def test_processes_take_the_step_of_one(processes, train, lines, witness, assert_same, assert_ranks_agree, world):
    """Within 1e-10, with losses per pixel and image, a projector, an encoder-only step, an idle learner and a shadow.

    26 images for validation divide by neither; the scores are those of one process all the same.
    """
    run = processes(world, PLAIN)
    assert_ranks_agree(run, world)
    alone = train(PLAIN, name="alone")
    assert_same(witness(run), witness(alone), 1e-10)
    for found, wanted in zip(lines(run), lines(alone), strict=True):
        assert found.keys() == wanted.keys()
        for name in found.keys() - {"seconds", "data_seconds"}:
            assert found[name] == (
                pytest.approx(wanted[name], rel=1e-5)
                if name.partition("/")[0] in ("loss", "grad", "cosine")
                else wanted[name]
            ), name


def test_micro_batches_within_processes_take_it_too(processes, train, witness, assert_same):
    run, alone = processes(2, PLAIN, "train.micro_batches=3"), train(PLAIN, name="alone")
    assert_same(witness(run), witness(alone), 1e-10)


def test_statistics_never_drift_apart(processes, witness, assert_ranks_agree):
    """Batch normalisation in networks and in a projector, a loss with a weight, buffers and noise of its own."""
    run = processes(2, DRIFTING)
    assert_ranks_agree(run, 2)
    assert witness(run)["/losses/labels/mean"] != 0


class Kill(Hooks):
    def on_step_end(self, run):
        if run.step == 5:
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_dies_ends_the_run_which_resumes_as_if_nothing_had_been(
    processes, together, load, folder, witness, assert_same, assert_ranks_agree
):
    whole = witness(processes(2, DRIFTING))
    loaded = load(DRIFTING + '[checkpoint]\nevery = 2\nunit = "step"\n')
    killed, other = together(2, lambda: run_recipe(loaded, console=Kill))  # which the main process alone makes
    assert killed == -signal.SIGKILL
    assert other > 0
    run = (folder / "runs" / "recipe" / "latest").resolve()
    assert together(2, lambda: resume_run(run)) == [0, 0]
    assert_ranks_agree(run, 2)
    assert_same(witness(run), whole)


def test_a_run_that_one_process_stops_ends_as_finished(processes):
    run = processes(2, DRIFTING + '[callbacks.quits]\nuse = "quits"\n')
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert (summary["steps"], summary["stopped"]) == (3, "enough")


def test_accelerate_launch_runs_it(load, folder, python, free_port, assert_ranks_agree):
    load(DRIFTING)
    command = [python, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", free_port]
    command += ["-m", "kdseg", "run", "recipe.toml"]
    environment = os.environ | {"ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(list((folder / "runs" / "recipe").glob("[0-9]*"))) == 1
    assert_ranks_agree(folder / "runs" / "recipe" / "latest", 2)
