"""Programs in whole runs: what a student learns from one is what it learns from the network itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import kdseg as kdseg_api
from kdseg.engine.folders.files import sha256
from kdseg.recipe.load import load_recipe

RECIPE = """
seed = 1

[train]
steps = 4
batch_size = 2
workers = 0

[data]
dataset = { use = "synthroad", images = 4, size = [64, 96], label_flips = 0.1 }
augment = [{ use = "HorizontalFlip", p = 0.5 }]

[models.teacher]
frozen = true
backbone = BACKBONE
weights = { file = "FILE" }

[models.student]
backbone = { use = "unet", base = 2, downsamplings = 1 }
optimizer = { use = "SGD", lr = 1.0 }
schedule = { use = "ConstantLR", factor = 1.0 }

[terms.logits]
learner = "student"
source = "teacher"
loss = { use = "pixel_kl", temperature = 2.0 }
on = "all"

[evaluate]
every = 1000
unit = "step"

[checkpoint]
every = 2
unit = "step"
"""
BACKBONES = {
    "eager": ('{ use = "unet", base = 2, downsamplings = 1 }', "teacher.safetensors"),
    "exported": ('{ use = "exported", trust_code = true }', "teacher.pt2"),
    "torchscript": ('{ use = "torchscript", trust_code = true }', "teacher.ts"),
    "onnx": ('"onnx"', "teacher.onnx"),
}
SORTS = ["exported", "torchscript", "onnx"]
KILLED = """
import os, signal
from pathlib import Path
import torch
from kdseg.engine.run.start import run_recipe
from kdseg.hooks import Hooks
from kdseg.recipe.load import load_recipe

class Kill(Hooks):
    def on_step_end(self, run):
        if run.step == 3:
            os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)
run_recipe(load_recipe(Path("killed.toml")), console=Kill)
"""


@pytest.fixture
def folder(written, tmp_path, monkeypatch, one_thread):
    shutil.copytree(written.folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(folder):
    def write(sort, name="recipe", **replaced):
        backbone, file = BACKBONES[sort]
        text = RECIPE.replace("BACKBONE", backbone).replace("FILE", file)
        for old, new in replaced.values():
            assert old in text
            text = text.replace(old, new)
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
        return f"{name}.toml"

    return write


@pytest.fixture
def succeed(kdseg):
    def succeed(*words):
        status, out, err = kdseg(*words)
        assert status == 0, out + err
        return out

    return succeed


@pytest.fixture
def refused(kdseg):
    def refused(*words):
        status, _, err = kdseg(*words)
        assert status == 2, err
        assert "Traceback" not in err
        return " ".join(err.split())

    return refused


def weights(name, which="last"):
    return load_file(f"runs/{name}/latest/models/student/{which}.safetensors")


@pytest.mark.parametrize("sort", SORTS)
def test_a_students_gradients_are_those_that_the_network_itself_gives(write, succeed, sort):
    for teacher in ("eager", sort):
        for steps in (1, 4):
            succeed("run", write(teacher, f"{teacher}{steps}"), "--set", f"train.steps={steps}")
    for steps in (1, 4):  # a step of SGD at rate 1 is the gradient
        ours, theirs = weights(f"{sort}{steps}"), weights(f"eager{steps}")
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("sort", SORTS)
def test_a_killed_run_resumes_to_the_same_bits(folder, write, succeed, refused, sort):
    succeed("run", write(sort, "whole"))
    write(sort, "killed")
    assert subprocess.run([sys.executable, "-c", KILLED], check=False, cwd=folder).returncode == -9
    file = folder / BACKBONES[sort][1]
    run = (folder / "runs/killed/latest").resolve()
    assert load_recipe(run / "recipe.toml").recipe.models["teacher"].weights.sha256 == sha256(file)
    named = [path for path in run.rglob("*") if "teacher" in path.name]
    assert {str(path.relative_to(run)) for path in named} == {"confusion/teacher.json"}  # its scores, no weights
    content = file.read_bytes()
    file.write_bytes(content + b" ")
    assert "models.teacher.weights: " in (told := refused("resume", "runs/killed"))
    assert f"{file.name}: is not the file that the recipe means: its SHA-256 is" in told
    file.write_bytes(content)
    succeed("resume", "runs/killed")
    ours, theirs = weights("killed"), weights("whole")
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


@pytest.mark.parametrize("sort", SORTS)
def test_what_comes_after_a_run_works(folder, write, succeed, sort):
    for name, teacher in (("recipe", sort), ("eager", "eager")):
        succeed("run", write(teacher, name), "--set", "train.steps=1", "--set", "models.teacher.floor=0.0")
    scores = [
        json.loads(succeed("evaluate", f"runs/{name}", "--model", "teacher", "--json"))["teacher"]["miou"]
        for name in ("recipe", "eager")
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    succeed("diagnose", "teachability", "runs/recipe", "--model", "teacher")
    (folder / BACKBONES[sort][1]).unlink()
    assert kdseg_api.load("runs/recipe").predict(np.zeros((40, 50, 3), np.uint8)).shape == (40, 50)
    succeed("evaluate", "runs/recipe", "--model", "student")


def test_a_program_hears_features_where_its_modules_are_kept(write, succeed, refused):
    features = ('{ use = "pixel_kl", temperature = 2.0 }\non = "all"', '{ use = "fitnet", between = ["encoder"] }')
    succeed("run", write("exported", loss=features), "--set", "train.steps=1")
    told = refused("check", write("torchscript", loss=(features[0], features[1].replace("encoder", "encoder.1"))))
    assert "terms.logits.loss: teacher has no tap 'encoder.1'" in told
    inside = features[1].replace("encoder", "encoder.1 -> program.module.encoder")
    told = refused("check", write("torchscript", loss=(features[0], inside)))
    assert "terms.logits.loss: teacher has no tap 'program.module.encoder'" in told
    told = refused("check", write("onnx", loss=(features[0], features[1].replace("encoder", "encoder.1"))))
    assert "teacher has no tap 'encoder.1'; it has none" in told


@pytest.mark.parametrize("sort", SORTS)
def test_a_program_cannot_learn(write, refused, sort):
    learner = ('{ use = "unet", base = 2, downsamplings = 1 }', BACKBONES[sort][0])
    told = refused("check", write(sort, learner=learner))
    assert f"models.student.backbone: {sort!r} runs a program, which cannot learn; say frozen = true" in told


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ('models.teacher.weights={ file = "teacher.onx" }', "no such file; did you mean 'teacher.onnx'"),
        ('models.teacher.weights={ run = "runs/no" }', "weights: 'onnx' runs a file, and no run has written one"),
        ("models.teacher.weights.partial=true", "partial is of files of tensors; 'onnx' runs its file as a whole"),
        ('models.teacher.weights.file="teacher.ts"', "cannot open it"),
        ('models.teacher.backbone.output="no"', "models.teacher.backbone: "),
        ('models.teacher.backbone={ use = "exported" }', "where you trust them, say"),
        ("models.teacher.backbone.size=[40, 8]", "models.teacher.backbone.size"),
    ],
)  # fmt: skip
def test_mistakes_are_told_before_training(write, refused, setting, text):
    backbone = ('backbone = "onnx"', 'backbone = { use = "onnx" }')
    assert text in refused("check", write("onnx", backbone=backbone), "--set", setting)


def test_without_the_library_a_recipe_is_told_how_to_install_it(write, refused, monkeypatch):
    version = metadata.version

    def absent(name):
        if name == "onnxruntime":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", absent)
    told = refused("check", write("onnx"))
    assert "onnx needs onnxruntime>=1.20 (not installed): pip install 'onnxruntime>=1.20'" in told


def test_another_number_of_classes_needs_a_class_map(write, succeed, refused, writer, folder):
    torch.manual_seed(0)
    writer.write_program(torch.nn.Conv2d(3, 2, 3, padding=1), folder / "two.ts")
    path = write("torchscript", file=("teacher.ts", "two.ts"))
    assert "models.teacher.backbone: " in (told := refused("check", path))
    assert "two.ts: gives scores of 2 classes; 19 are needed. `class_map` and `classes` say" in told
    classes = ("--set", 'models.teacher.classes=["way", "air"]')
    succeed("run", path, "--set", 'models.teacher.class_map={ way = "road", air = "sky" }', *classes)


def test_a_run_that_compiles_leaves_programs_as_they_are(write, succeed):
    pytest.importorskip("torch._dynamo")
    succeed("check", write("torchscript"), "--set", "train.compile=true")
