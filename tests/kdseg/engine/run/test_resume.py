"""A run that is killed and resumed ends as one that never was: same weights, same files, bit for bit."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import signal

import pytest

from kdseg.engine.folders.files import sha256
from kdseg.engine.folders.run_folder import is_finished
from kdseg.engine.run.start import resume_run, run_recipe
from kdseg.errors import KdsegError
from kdseg.hooks import Hooks

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create .* worker processes:UserWarning"),  # on one core
]


class Kill(Hooks):
    """Kills its own process, as `kill -9` does, at an event after a step."""

    def __init__(self, event, step):
        def kill(run):
            if run.step == step:
                os.kill(os.getpid(), signal.SIGKILL)

        setattr(self, event, kill)


WHOLE = {}
"""What each recipe leaves when nobody kills it."""


@pytest.fixture
def assert_resumes(train, load, in_child, folder, contents):
    """Let a run be killed, resume it, and hold all that it leaves against a run that was never killed.

    False where it came to its end before it was killed.
    """

    def assert_resumes(recipe, run_and_die):
        if recipe not in WHOLE:
            WHOLE[recipe] = contents(train("", name="whole", extends=recipe).folder)
        loaded = load("", extends=recipe)
        status = in_child(lambda: run_and_die(loaded))
        if status == 0:
            return False
        assert status == -signal.SIGKILL
        run = (folder / "runs" / "recipe" / "latest").resolve()
        if not is_finished(run):  # its last write is the summary
            assert resume_run(run).folder == run
        found = contents(run)
        assert found.keys() == WHOLE[recipe].keys()
        assert [file for file in found if found[file] != WHOLE[recipe][file]] == []
        return True

    return assert_resumes


def test_the_time_of_a_run_is_that_of_all_its_processes(load, in_child, folder):
    loaded = load("checkpoint.every = 4", extends="stateful/gate_plateau.toml")
    assert in_child(lambda: killed_by("on_checkpoint", 4)(loaded)) == -signal.SIGKILL
    run = (folder / "runs" / "recipe" / "latest").resolve()
    (state,) = (run / "checkpoints").glob("*/state.json")
    before = json.loads(state.read_text())
    state.write_text(json.dumps(before | {"seconds": 3600 + before["seconds"]}))
    sums = state.with_name("checksums.json")
    sums.write_text(json.dumps(json.loads(sums.read_text()) | {"state.json": sha256(state)}))
    assert before["seconds"] > 0
    assert 3600 + before["seconds"] <= resume_run(run).summary["seconds"] < 3600 + before["seconds"] + 600


def killed_by(event, step):
    return lambda loaded: run_recipe(loaded, console=lambda: Kill(event, step))


def test_a_killed_run_resumes_as_if_it_had_never_stopped(assert_resumes, stateful):
    assert assert_resumes(stateful, killed_by("on_step_end", 5))  # a step after a checkpoint


class Wait(Hooks):
    """Tells that its run is at work, and keeps it from going on."""

    def __init__(self, at_work, go_on):
        self._at_work, self._go_on = at_work, go_on

    def on_step_end(self, run):
        self._at_work.set()
        assert self._go_on.wait(60)


def test_a_run_that_is_at_work_is_left_alone(load, folder):
    processes = multiprocessing.get_context("fork")
    at_work, go_on = processes.Event(), processes.Event()
    loaded = load("", extends="stateful/gate_plateau.toml")
    child = processes.Process(target=lambda: run_recipe(loaded, console=lambda: Wait(at_work, go_on)))
    child.start()
    assert at_work.wait(60)
    run = (folder / "runs" / "recipe" / "latest").resolve()
    before = (sorted(run.iterdir()), (run / "metrics.jsonl").read_bytes())
    for resume in (lambda: resume_run(run), lambda: run_recipe(loaded, resume=True)):
        with pytest.raises(KdsegError, match="another process is at work in this run; wait for it, or stop it"):
            resume()
    assert (sorted(run.iterdir()), (run / "metrics.jsonl").read_bytes()) == before
    go_on.set()
    child.join(60)
    assert (child.exitcode, is_finished(run)) == (0, True)


@pytest.mark.parametrize(
    ("event", "step"),
    [("on_run_start", 0), ("on_step_end", 1), ("on_evaluation_end", 3), ("on_checkpoint", 6), ("on_run_end", 6)],
)
def test_it_does_so_whatever_it_was_at(assert_resumes, event, step):
    """Before any checkpoint, between an evaluation and its checkpoint, and when all is done but the summary.

    Early stopping ends this recipe at step 6: a resumed run does not forget that it was over.
    """
    assert assert_resumes("stateful/callbacks.toml", killed_by(event, step))


def dying_at_write(number):
    """Kill the process at the number-th time that it brings something to the disk: before, or after it is there."""

    def run_and_die(loaded):
        fsync, calls = os.fsync, itertools.count(1)

        def fatal_fsync(handle):
            dying = next(calls) == number
            if dying and number % 2:
                os.kill(os.getpid(), signal.SIGKILL)
            fsync(handle)
            if dying:
                os.kill(os.getpid(), signal.SIGKILL)

        os.fsync = fatal_fsync
        run_recipe(loaded)

    return run_and_die


@pytest.mark.parametrize("number", [3, 32, 47, 78, 103])
def test_it_does_so_when_killed_in_the_middle_of_writing(assert_resumes, number):
    assert assert_resumes("stateful/callbacks.toml", dying_at_write(number))


@pytest.mark.slow
def test_it_does_so_when_killed_at_any_write_at_all(assert_resumes):
    """But for the first two, when its folder was not made yet."""
    first_survived = next(
        number for number in itertools.count(3) if not assert_resumes("stateful/callbacks.toml", dying_at_write(number))
    )
    assert first_survived > 100
