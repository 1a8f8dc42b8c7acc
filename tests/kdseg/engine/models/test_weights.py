"""Participants that start from the weights of another run."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import tomllib

import pytest
import torch

from kdseg.engine.run.start import run_recipe
from kdseg.errors import KdsegError
from kdseg.hooks import Hooks
from kdseg.recipe.load import load_recipe

TEACHER = """
[models.large]
backbone = { use = "tiny", width = 6 }
[terms.labels]
learner = "large"
loss = "cross_entropy"
"""
STUDENT = """
[models.teacher]
frozen = true
backbone = {{ use = "tiny", width = 6 }}
weights = {{ {weights} }}
[models.student]
backbone = {{ use = "tiny", dropout = 0.1 }}
[terms.mimic]
learner = "student"
source = "teacher"
loss = "pixel_kl"
[callbacks.witness]
use = "witness"
"""
GERMAN = """
from typing import ClassVar

from attrs import frozen

from kdseg import ClassTable, Dataset, hookimpl

@frozen(kw_only=True)
class Quadrate(Dataset):
    \"""The same squares by other names.\"""

    name: ClassVar[str] = "quadrate"

    def build(self, ctx):
        from numpy import uint8, zeros

        from kdseg import Sample

        return [Sample(image=zeros((32, 32, 3), uint8), mask=zeros((32, 32), uint8), id=str(i)) for i in range(4)]

    def class_table(self):
        return ClassTable(names=("rot", "green", "blue"), colours=((255, 0, 0), (0, 255, 0), (0, 0, 255)))

@hookimpl
def kdseg_datasets():
    return [Quadrate]
"""
BY_RECIPE = STUDENT.format(weights='recipe = "teacher.toml"')


def runs(folder, name):
    return sorted((folder / "runs" / name).glob("[0-9]*"))


def sha256(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def saved_weights(run, name):
    return tomllib.loads((run.folder / "recipe.toml").read_text())["models"][name]["weights"]


@pytest.fixture
def teacher(load):
    return load(TEACHER, name="teacher")


def test_a_recipe_is_trained_first_and_only_once(teacher, train, folder, weights, assert_same):
    first, second = train(BY_RECIPE), train(BY_RECIPE)
    (trained,) = runs(folder, "teacher")
    witness = torch.load(first.folder / "witness-0.pt")
    assert_same(witness["participants"]["teacher"], weights(trained, "large", "best"))
    assert_same(weights(second, "student"), weights(first, "student"))
    assert "teacher" not in {path.name for path in (first.folder / "models").iterdir()}


def test_a_teacher_that_stands_in_its_own_folder_is_found_from_elsewhere(teacher, train, folder, caplog):
    trained = run_recipe(teacher).folder
    with caplog.at_level("INFO", "kdseg"):
        run = train(BY_RECIPE, "output.folder=elsewhere")
    assert saved_weights(run, "teacher")["run"] == str(trained)
    assert f"models.teacher.weights: of runs/teacher/{trained.name}" in caplog.messages
    assert not (folder / "elsewhere" / "teacher").exists()


def test_a_teacher_beside_the_runs_that_ask_comes_before_that_in_its_own_folder(teacher, train, folder, caplog):
    with caplog.at_level("INFO", "kdseg"):
        first = train(BY_RECIPE, "output.folder=elsewhere")
    (beside,) = (folder / "elsewhere" / "teacher").glob("[0-9]*")
    looked = "no finished run of it in elsewhere/teacher or runs/teacher"
    assert f"models.teacher.weights: teacher.toml is trained first: {looked}" in caplog.messages
    run_recipe(teacher)  # a newer one
    second = train(BY_RECIPE, "output.folder=elsewhere")
    assert [saved_weights(run, "teacher")["run"] for run in (first, second)] == [str(beside)] * 2


def test_an_unfinished_teacher_in_its_own_folder_is_not_taken(teacher, train, folder):
    trained = run_recipe(teacher).folder
    (trained / "summary.json").unlink()
    run = train(BY_RECIPE, "output.folder=elsewhere")
    assert saved_weights(run, "teacher")["run"].startswith(str(folder / "elsewhere"))


def test_the_saved_recipe_says_which_weights_and_gives_the_same_run(teacher, train, folder, weights, assert_same):
    first = train(BY_RECIPE)
    (trained,) = runs(folder, "teacher")
    assert saved_weights(first, "teacher") == {
        "run": str(trained),
        "model": "large",
        "which": "best",
        "sha256": sha256(trained / "models" / "large" / "best.safetensors"),
        "partial": False,
        "prune": False,
    }
    for file in ("recipe.toml", "teacher.toml", "base.toml", "parts.py", "part_losses.py"):  # the run has its own
        (folder / file).unlink()
    again = run_recipe(load_recipe(first.folder / "recipe.toml"))
    assert again.folder != first.folder
    assert_same(weights(again, "student"), weights(first, "student"))


@pytest.mark.parametrize("which", ["best", "last"])
def test_a_run_by_its_path(teacher, train, folder, weights, assert_same, which):
    trained = run_recipe(teacher)
    run = train(STUDENT.format(weights=f'run = "runs/teacher", which = "{which}"'))
    witness = torch.load(run.folder / "witness-0.pt")
    assert_same(witness["participants"]["teacher"], weights(trained, "large", which))
    assert saved_weights(run, "teacher")["run"] == str(trained.folder)  # not `latest`, which moves on


def test_a_learner_may_start_from_weights_too(teacher, train, weights, assert_same):
    trained = run_recipe(teacher)
    still = 'width = 6 }\nweights = { run = "runs/teacher", which = "last" }\noptimizer = { use = "SGD", lr = 0.0 }'
    after = weights(train(TEACHER.replace("width = 6 }", still)), "large")
    assert_same(after, weights(trained, "large"))


def test_a_requeued_job_goes_on_with_the_teacher_that_it_was_training(load, teacher, in_child, folder):
    class Kill(Hooks):
        def on_step_end(self, run):
            if run.step == 5:
                os.kill(os.getpid(), signal.SIGKILL)

    loaded = load(BY_RECIPE)
    assert in_child(lambda: run_recipe(loaded, resume=True, console=Kill)) == -signal.SIGKILL
    (begun,) = runs(folder, "teacher")
    run_recipe(loaded, resume=True)
    assert runs(folder, "teacher") == [begun]
    assert (begun / "summary.json").exists()


def refusal(train, text, *settings):
    with pytest.raises(KdsegError) as caught:
        train(text, *settings)
    return str(caught.value)


@pytest.mark.parametrize("weights", ['run = "runs/teacher"', 'recipe = "teacher.toml"'])
def test_weights_that_do_not_fit_are_told_before_anything_is_trained(teacher, train, folder, weights):
    if weights.startswith("run"):
        run_recipe(teacher)
    recipe = STUDENT.format(weights=weights)
    told = refusal(train, recipe, "models.teacher.backbone.width=8")
    assert "models.teacher.weights" in told
    assert "with width = 6; here the backbone has width = 8" in told
    told = refusal(train, recipe, "data.mean=[0.5, 0.5, 0.5]")
    assert "normalises images with mean [0.485, 0.456, 0.406]" in told
    assert "here data.mean is [0.5, 0.5, 0.5]" in told
    (folder / "german.py").write_text(GERMAN, encoding="utf-8")
    told = refusal(train, recipe, 'plugins=["parts.py", "part_losses.py", "german.py"]', "data.dataset=quadrate")
    assert "trains on 3 classes (red, green, blue); this recipe's dataset has 3 (rot, green, blue)" in told
    assert len(runs(folder, "teacher")) == weights.startswith("run")


def test_weights_that_changed_are_told(teacher, train, folder):
    first = train(BY_RECIPE)
    (trained,) = runs(folder, "teacher")
    best = trained / "models" / "large" / "best.safetensors"
    data = bytearray(best.read_bytes())
    data[-1] ^= 1
    best.write_bytes(data)
    with pytest.raises(KdsegError, match=r"models\.teacher\.weights: .*best\.safetensors: is not the file that the"):
        run_recipe(load_recipe(first.folder / "recipe.toml"))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ('run = "runs/nothing"', "no run here"),
        ('run = "runs/teacher", model = "lagre"', "no model 'lagre'; did you mean 'large'"),
        (
            'recipe = "teacher.toml", model = "huge"',
            "'teacher' trains no learner 'huge'; `model` may name one of large",
        ),
        ('recipe = "recipe.toml"', "goes round in a circle: recipe.toml -> recipe.toml"),
    ],
)
def test_weights_that_are_not_there_are_told(teacher, train, weights, message):
    run_recipe(teacher)
    assert message in refusal(train, STUDENT.format(weights=weights))


def test_weights_that_vanished_are_told_on_resumption(teacher, train, folder):
    first = train(BY_RECIPE)
    shutil.rmtree(folder / "runs" / "teacher")
    with pytest.raises(KdsegError, match=r"models\.teacher\.weights: .*no run here"):
        run_recipe(load_recipe(first.folder / "recipe.toml"))
