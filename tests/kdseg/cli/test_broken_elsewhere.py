"""Mistakes that lie beside a recipe: in other recipes, runs, plugin files and settings; and several at once."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest


@pytest.fixture
def told(kdseg, folder):
    """Check ``recipe.toml`` as it lies there, and give the lines of what is told; nothing may be written."""

    def told(*settings: str) -> list[str]:
        before = sorted(folder.rglob("*"))
        status, out, err = kdseg("check", "recipe.toml", *(word for one in settings for word in ("--set", one)))
        assert (status, out) == (2, "")
        assert sorted(folder.rglob("*")) == before
        return err.splitlines()

    return told


@pytest.fixture
def trained(kdseg, folder, write):
    """A finished run of the sound recipe, in ``runs/job``, and the recipe beside it."""
    write()
    assert kdseg("run", "recipe.toml").status == 0
    return (folder / "runs" / "job" / "latest").resolve()


# Several at once


def test_all_problems_of_keys_and_types_come_at_once(write, told):
    write(
        ("seed = 3", 'seed = "3"'),
        ("base = 4", "bsae = 4"),
        ('source = "teacher"', 'source = "techer"'),
        ("keep = 1", "keep = 0"),
    )
    assert [line.split(": ")[:2] for line in told("train.workers=-1")] == [
        ["--set", "train.workers"],
        ["recipe.toml:2", "seed"],
        ["recipe.toml:18", "models.teacher.backbone.bsae"],
        ["recipe.toml:43", "terms.mimic.source"],
        ["recipe.toml:54", "callbacks.best.keep"],
    ]


def test_all_problems_of_building_come_at_once(write, told):
    write(
        ('"HorizontalFlip"', '"HorizontalFlp"'),
        ("p = 0.5", "p = true"),
        ('schedule = { use = "poly"', 'schedule = { use = "ploy"'),
        ("lr = 0.1", "lr = 0.1, mometum = 0.9"),
        ("clip = 1.0", 'weights = { run = "runs/other" }'),
        ('folder = "runs"', 'folder = "drawn.py"'),
    )
    assert [line.split(": ")[:2] for line in told()] == [
        ["recipe.toml:13", "data.augment.0"],
        ["recipe.toml:14", "data.augment.1.p"],
        ["recipe.toml:20", "models.teacher.schedule.use"],
        ["recipe.toml:24", "models.student.optimizer.mometum"],
        ["recipe.toml:25", "models.student.weights"],
        ["recipe.toml:59", "output.folder"],
    ]


def test_all_problems_of_the_plan_and_the_sizes_come_at_once(write, told):
    write(
        ('"study"]', '"study", "rest"]'),
        ('"miou"', '"mIoU"'),
        ("weight = 0.5", "weight = 0.0"),
        ('{ use = "unet", base = 2 }', '"half_size"'),
    )
    assert [line.split(": ")[:2] for line in told()] == [
        ["recipe.toml:50", "evaluate.metric"],
        ["recipe.toml:28", "turns.order"],
        ["recipe.toml:40", "terms.mimic"],
        ["recipe.toml:23", "models.student.backbone"],
    ]


# Settings


def test_a_setting_is_named_where_it_is_wrong(write, told):
    write()
    assert told("models.student.backbone.bsae=3") == [
        "--set: models.student.backbone.bsae: unknown key; did you mean 'base'?"
    ]
    assert told("models.student.optimizer.lr=true") == [
        "--set: models.student.optimizer.lr: takes float | torch.Tensor, found True"
    ]
    assert told("train.batch_size=64") == [
        "--set: train.batch_size: the training split has 8 samples, fewer than train.batch_size = 64; make batch_size "
        "8 or less"
    ]
    assert told("train.steps") == ["--set train.steps: write KEY=VALUE, such as models.student.backbone.base=16"]


def test_a_recipe_that_is_not_there_tells_the_nearest(kdseg, write):
    write()
    status, _, err = kdseg("check", "recip.toml")
    assert status == 2
    assert err.startswith("there is no recipe 'recip.toml'; did you mean 'recipe.toml'?")


# Other recipes


def test_recipes_that_extend_each_other(folder, told):
    (folder / "recipe.toml").write_text('extends = "b.toml"\n')
    (folder / "b.toml").write_text('seed = 1\nextends = "recipe.toml"\n')
    circle = "recipe.toml -> b.toml -> recipe.toml"
    assert told() == [f"b.toml:2: extends: goes round in a circle: {circle}"]


def test_a_mistake_in_the_parent_is_told_there(folder, write, told):
    write(("base = 2", "bsae = 2"), name="parent.toml")
    (folder / "recipe.toml").write_text('extends = "parent.toml"\n')
    assert told() == ["parent.toml:23: models.student.backbone.bsae: unknown key; did you mean 'base'?"]


def test_recipes_whose_weights_come_from_each_other(folder, write, told):
    write(("clip = 1.0", 'weights = { recipe = "b.toml" }'))
    (folder / "b.toml").write_text('extends = "recipe.toml"\nmodels.student.weights = { recipe = "recipe.toml" }\n')
    assert told() == [
        "recipe.toml:25: models.student.weights: goes round in a circle: recipe.toml -> b.toml -> recipe.toml"
    ]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            "[models.student]\nbackbone.bse = 3\n[train]\nwokers = 1\n",
            "other.toml:4: models.student.backbone.bse: unknown key; did you mean 'base'?\n"
            "other.toml:6: train.wokers: unknown key; did you mean 'workers'?",
        ),
        (
            "models.student.backbone = { base = 8, norm = 'group' }\n",
            'other.toml trains \'student\', with base = 8, norm = "group"; here the backbone has base = 2, norm = "batch"',
        ),
        (
            "models.student.backbone = 'unet1m'\n",
            'other.toml trains \'student\', with use = "kdseg/unet1m"; here the backbone has use = "kdseg/unet"',
        ),
    ],
    ids=["it is broken itself", "other options", "another backbone"],
)
def test_a_recipe_for_the_weights_that_does_not_serve(folder, write, told, other, message):
    (folder / "other.toml").write_text(f'extends = "recipe.toml"\ndrop = ["models.student.weights"]\n{other}')
    write(("clip = 1.0", 'weights = { recipe = "other.toml" }'))
    assert told() == [f"recipe.toml:25: models.student.weights: {line}" for line in message.splitlines()]


def test_a_recipe_for_the_weights_that_trains_no_such_learner(folder, write, told):
    (folder / "other.toml").write_text('extends = "recipe.toml"\ndrop = ["models.student.weights"]\n')
    write(("clip = 1.0", 'weights = { recipe = "other.toml", model = "pupil" }'))
    assert told() == [
        "recipe.toml:25: models.student.weights: 'other' trains no learner 'pupil'; `model` may name one of teacher, "
        "student"
    ]


def test_a_recipe_for_the_weights_that_is_not_there(write, told):
    write(("clip = 1.0", 'weights = { recipe = "recip.toml" }'))
    (line,) = told()
    assert line.startswith("recipe.toml:25: models.student.weights: there is no recipe ")
    assert "did you mean 'recipe.toml'?" in line


# Runs


def test_weights_of_a_run_that_do_not_fit(folder, write, told, trained):
    run = Path("runs/job") / trained.name
    weights = 'weights = { run = "runs/job" }'
    write(("clip = 1.0", weights), ("base = 2", "base = 3"))
    assert told() == [
        f"recipe.toml:25: models.student.weights: {run}/models/student holds the weights of another network, with "
        "base = 2; here the backbone has base = 3"
    ]
    write(("clip = 1.0", weights), ("images = 8", "images = 8, classes = 2"))
    assert told() == [
        f"recipe.toml:25: models.student.weights: {run}/models/student trains on 3 classes (dark, middle, light); "
        "this recipe's dataset has 2 (dark, middle)"
    ]
    write(("clip = 1.0", weights), ("[data]", "[data]\nmean = [0.5, 0.5, 0.5]"))
    assert told() == [
        f"recipe.toml:26: models.student.weights: {run}/models/student normalises images with mean [0.485, 0.456, 0.406] "
        "and std [0.229, 0.224, 0.225]; here data.mean is [0.5, 0.5, 0.5] and data.std [0.229, 0.224, 0.225]"
    ]
    write(("clip = 1.0", 'weights = { run = "runs/job", model = "teachr" }'))
    (line,) = told()
    assert line.startswith(f"recipe.toml:25: models.student.weights: {run}: no model 'teachr'; did you mean 'teacher'?")
    stated, found = "0" * 64, hashlib.sha256((run / "models/student/best.safetensors").read_bytes()).hexdigest()
    write(("clip = 1.0", f'weights = {{ run = "runs/job", sha256 = "{stated}" }}'))
    assert told() == [
        f"recipe.toml:25: models.student.weights: {run}/models/student/best.safetensors: is not the file that the "
        f"recipe means: its SHA-256 is {found}"
    ]


# Folders


def test_a_file_where_the_recipe_s_own_folder_would_be(folder, write, told):
    write(('name = "job"', 'name = "drawn.py"'), ('folder = "runs"', 'folder = "."'))
    assert told() == ["recipe.toml:59: output.folder: drawn.py is a file; a folder for runs is needed"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="/proc is a folder where even root can make no folder")
def test_a_folder_that_cannot_be_written(write, told):
    write(('folder = "runs"', 'folder = "/proc/runs"'))
    (line,) = told()
    assert line.startswith("recipe.toml:59: output.folder: /proc cannot be written to (")
    assert line.endswith("); name a folder that can")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(folder, write, told):
    (folder / "shut").mkdir(mode=0o500)
    write(('folder = "runs"', 'folder = "shut"'))
    assert told() == [
        "recipe.toml:59: output.folder: shut cannot be written to (Permission denied); name a folder that can"
    ]


def test_a_dataset_whose_folder_is_not_there(folder, write, told, monkeypatch):
    for variable in ("KDSEG_DATA", "KDSEG_CAMVID"):
        monkeypatch.delenv(variable, raising=False)
    dataset = 'use = "drawn", images = 8'
    write((dataset, 'use = "camvid"'))
    (line,) = told()
    assert line.startswith(
        "recipe.toml:11: data.dataset: the folder of camvid is not said; set the option root, $KDSEG_DATA (its folder "
        "camvid is taken) or $KDSEG_CAMVID. camvid is the 480x360, 11-class release "
    )
    monkeypatch.setenv("KDSEG_CAMVID", str(folder / "nowhere"))
    (line,) = told()
    assert line.startswith(
        f"recipe.toml:11: data.dataset: there is no folder at $KDSEG_CAMVID ({folder}/nowhere); camvid is "
    )
    write((dataset, 'use = "camvid", root = "camvid"'))
    (line,) = told()
    assert line.startswith(f"recipe.toml:11: data.dataset: there is no folder at data.dataset.root = '{folder}/camvid'")
    (folder / "camvid").mkdir()
    assert told() == [
        f"recipe.toml:11: data.dataset: {folder}/camvid/{split}: there is no such folder; CamVid has train, trainannot, "
        "val, valannot and so on"
        for split in ("train", "val")
    ]


# Plugin files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:\n", "SyntaxError: invalid syntax (mine.py, line 1)"),
        ("import kdseg\n\n1 / 0\n", "ZeroDivisionError: division by zero (mine.py:3)"),
        ("import sys\nsys.exit(3)\n", "it ends the program (sys.exit(3)) (mine.py:2)"),
        ("import no_such_library\n", "ModuleNotFoundError: No module named 'no_such_library' (mine.py:1)"),
        (
            "\n",
            "it implements no hook; implement one of kdseg_backbones, kdseg_datasets, kdseg_losses, kdseg_diagnostics, "
            "kdseg_callbacks",
        ),
    ],
    ids=["syntax", "raises", "exits", "library missing", "no hook"],
)
def test_a_plugin_file_that_does_not_load(folder, write, told, text, message):
    (folder / "mine.py").write_text(text)
    write(('["drawn.py"]', '[\n  "drawn.py",\n  "mine.py",\n]'))
    assert told() == [f"recipe.toml:5: plugins.1: {message}"]


def test_a_plugin_file_that_is_not_there(write, told):
    write(('["drawn.py"]', '["drawn.py", "drwn.py"]'))
    assert told() == ["recipe.toml:3: plugins.1: drwn.py: there is no such file"]
