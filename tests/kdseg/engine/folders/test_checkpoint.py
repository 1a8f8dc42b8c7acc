"""Checkpoints that are damaged, and runs that are asked to stop or to go on."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import signal
import subprocess

import pytest

from kdseg.engine.folders.checkpoint import prune_checkpoints, whole_checkpoints
from kdseg.engine.run.start import resume_run, run_recipe
from kdseg.errors import KdsegError
from kdseg.hooks import Hooks

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

RECIPE = """
[models.student]
backbone = { use = "tiny", dropout = 0.2 }
[terms.labels]
learner = "student"
loss = "learned_scale"
[checkpoint]
every = 2
unit = "step"
"""


class Signal(Hooks):
    """Sends its own process signals after a step."""

    def __init__(self, step, *numbers):
        self.step, self.numbers = step, numbers

    def on_step_end(self, run):
        if run.step == self.step:
            for number in self.numbers:
                os.kill(os.getpid(), number)


@pytest.fixture
def stopped(load, in_child, folder):
    """Give the folder of a run that was killed after its fifth step, and holds checkpoints of the second and fourth."""
    loaded = load(RECIPE)
    assert in_child(lambda: run_recipe(loaded, console=lambda: Signal(5, signal.SIGKILL))) == -signal.SIGKILL
    return (folder / "runs" / "recipe" / "latest").resolve()


def truncate(file):
    os.truncate(file, file.stat().st_size // 2)


def flip_a_bit(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


FILES = ("student.safetensors", "student.training.pt", "labels.loss.safetensors", "state.json", "checksums.json")


def test_a_damaged_checkpoint_is_told_and_passed_over(stopped, tmp_path, caplog):
    for case, (file, damage) in enumerate(itertools.product(FILES, [truncate, flip_a_bit, os.unlink])):
        checkpoints = shutil.copytree(stopped / "checkpoints", tmp_path / f"{case}")
        damage(checkpoints / "step-00000004" / file)
        caplog.clear()
        assert next(whole_checkpoints(checkpoints)).name == "step-00000002"
        (told,) = caplog.messages
        assert "step-00000004: damaged" in told
        assert file in told or file == "checksums.json"


def test_the_one_before_leads_to_the_same_end(stopped, train, weights, assert_same, caplog):
    flip_a_bit(stopped / "checkpoints" / "step-00000004" / "student.training.pt")
    caplog.set_level(logging.INFO, "kdseg")
    assert_same(weights(resume_run(stopped), "student"), weights(train(RECIPE, name="whole"), "student"))
    assert "resumed at step 2 of 8" in caplog.text


def test_without_any_whole_checkpoint_a_run_begins_again(stopped, train, weights, assert_same, lines, caplog):
    for file in (stopped / "checkpoints").glob("*/state.json"):
        truncate(file)
    resumed = resume_run(stopped)
    assert "no checkpoint of this run is whole: it begins again" in caplog.messages
    assert [line["step"] for line in lines(resumed, "step")] == [*range(1, 9)]
    assert_same(weights(resumed, "student"), weights(train(RECIPE, name="whole"), "student"))


def test_pruning_keeps_what_was_just_written_not_the_damaged_one_after_it(tmp_path):
    for name in ("step-00000002", "step-00000004", "step-00000005", "step-00000006", ".step-00000007.draft"):
        (tmp_path / name).mkdir()
    prune_checkpoints(tmp_path, 5, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000004", "step-00000005"]


def test_a_checkpoint_of_another_network_is_refused(stopped, train, folder):
    other = train(RECIPE.replace('"tiny"', '"tiny", width = 8'), name="other").folder
    shutil.rmtree(stopped / "checkpoints")
    shutil.copytree(other / "checkpoints", stopped / "checkpoints")
    with pytest.raises(KdsegError, match=r"step-00000008: this checkpoint does not fit the run: (?s:.*)size mismatch"):
        resume_run(stopped)


def test_as_many_checkpoints_stay_as_asked_and_one_of_a_finished_run(train, folder):
    class Count(Hooks):
        def __init__(self):
            self.kept = []

        def on_checkpoint(self, run):
            self.kept.append(sorted(int(path.name[5:]) for path in run.folder.glob("checkpoints/*")))

    counted = Count()
    run = train(RECIPE, "checkpoint.keep=3", watcher=counted)
    assert counted.kept == [[2], [2, 4], [2, 4, 6], [4, 6, 8]]
    assert [path.name for path in (run.folder / "checkpoints").iterdir()] == ["step-00000008"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_after_its_step_with_a_checkpoint(train, folder, weights, assert_same, number, status):
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as end:
        train(RECIPE, watcher=Signal(3, number))
    assert end.value.code == status
    assert signal.getsignal(number) is before
    run = folder / "runs" / "recipe"
    assert sorted(path.name for path in (run / "latest" / "checkpoints").iterdir()) == [
        "step-00000002",
        "step-00000003",
    ]
    assert_same(weights(resume_run(run), "student"), weights(train(RECIPE, name="whole"), "student"))


def test_a_second_ctrl_c_ends_it_at_once(train, folder):
    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, watcher=Signal(3, signal.SIGINT, signal.SIGINT))
    checkpoints = (folder / "runs" / "recipe" / "latest" / "checkpoints").iterdir()
    assert [path.name for path in checkpoints] == ["step-00000002"]


def test_run_resume_goes_on_with_the_unfinished_run_of_this_very_recipe(stopped, load):
    assert run_recipe(load(RECIPE), resume=True).folder == stopped
    again = run_recipe(load(RECIPE), resume=True).folder  # all are finished now
    assert again != stopped
    assert again.parent == stopped.parent


@pytest.mark.parametrize("change", ["a setting", "a plugin file"])
def test_run_resume_leaves_runs_of_a_changed_recipe_alone(stopped, load, folder, change):
    if change == "a plugin file":
        with (folder / "part_losses.py").open("a", encoding="utf-8") as file:
            file.write("\n# changed\n")
    loaded = load(RECIPE, *(["seed=4"] if change == "a setting" else []))
    assert run_recipe(loaded, resume=True).folder != stopped
    assert not (stopped / "summary.json").exists()


def test_a_finished_run_is_not_resumed(train):
    run = train(RECIPE)
    with pytest.raises(KdsegError, match="finished; there is nothing to resume"):
        resume_run(run.folder)


def test_no_run_is_told(tmp_path):
    with pytest.raises(KdsegError, match="no run here"):
        resume_run(tmp_path)


def test_the_command_line_takes_the_sigterm_of_a_cluster(load, folder, python):
    load(RECIPE + "[train]\nsteps = 100000\n")
    command = [python, "-m", "kdseg", "run", "recipe.toml"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder) as stopped:
        next(line for line in stopped.stderr if "steps;" in line)  # it is under way
        stopped.terminate()
        told = stopped.stderr.read()
    assert stopped.returncode == 143
    assert "SIGTERM: stopping after this step, with a checkpoint" in told
    assert "to go on from the last checkpoint: kdseg resume" in told
    assert list(folder.glob("runs/recipe/latest/checkpoints/step-*"))
