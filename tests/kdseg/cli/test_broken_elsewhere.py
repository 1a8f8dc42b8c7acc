"""Mistakes beside a recipe: in settings, parents, folders and plugin files; and several at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        (
            "models.student.backbone.bsae=3",
            "--set: models.student.backbone.bsae: unknown key; did you mean 'base'?",
        ),
        (
            "models.student.optimizer.lr=true",
            "--set: models.student.optimizer.lr: takes float | torch.Tensor, found True",
        ),
        (
            "train.batch_size=64",
            "--set: train.batch_size: the training split has 8 samples, fewer than train.batch_size = ",
        ),
        ("train.steps", "--set train.steps: write KEY=VALUE, such as models.student.backbone.base=16"),
    ],
)
def test_a_setting_is_named_where_it_is_wrong(write, told, setting, line):
    write()
    (found,) = told(setting)
    assert found.startswith(line)


def test_a_recipe_that_is_not_there_tells_the_nearest(kdseg, write):
    write()
    status, _, err = kdseg("check", "recip.toml")
    assert status == 2
    assert err.startswith("there is no recipe 'recip.toml'; did you mean 'recipe.toml'?")


# Parents


def test_recipes_that_extend_each_other(folder, told):
    (folder / "recipe.toml").write_text('extends = "b.toml"\n')
    (folder / "b.toml").write_text('seed = 1\nextends = "recipe.toml"\n')
    assert told() == ["b.toml:2: extends: goes round in a circle: recipe.toml -> b.toml -> recipe.toml"]


def test_a_mistake_in_the_parent_is_told_there(folder, write, told):
    write(("base = 2", "bsae = 2"), name="parent.toml")
    (folder / "recipe.toml").write_text('extends = "parent.toml"\n')
    assert told() == ["parent.toml:23: models.student.backbone.bsae: unknown key; did you mean 'base'?"]


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
    reason = "shut cannot be written to (Permission denied); name a folder that can"
    assert told() == [f"recipe.toml:59: output.folder: {reason}"]


def test_a_dataset_whose_folder_is_not_there(folder, write, told, monkeypatch):
    for variable in ("KDSEG_DATA", "KDSEG_CAMVID"):
        monkeypatch.delenv(variable, raising=False)
    place, dataset = "recipe.toml:11: data.dataset: ", 'use = "drawn", images = 8'
    write((dataset, 'use = "camvid"'))
    (line,) = told()
    assert line.startswith(f"{place}the folder of camvid is not said; set the option root, $KDSEG_DATA (its folder ")
    assert "or $KDSEG_CAMVID; camvid is the 480x360, 11-class release" in line
    monkeypatch.setenv("KDSEG_CAMVID", str(folder / "nowhere"))
    (line,) = told()
    assert line.startswith(f"{place}there is no folder at $KDSEG_CAMVID ({folder}/nowhere); camvid is ")
    write((dataset, 'use = "camvid", root = "camvid"'))
    (line,) = told()
    assert line.startswith(f"{place}there is no folder at data.dataset.root = '{folder}/camvid'")
    (folder / "camvid").mkdir()
    for line, split in zip(told(), ("train", "val"), strict=True):
        assert line.startswith(f"{place}{folder}/camvid/{split}: there is no such folder; camvid is the 480x360, ")


# Plugin files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:\n", "SyntaxError: invalid syntax (mine.py, line 1)"),
        ("import kdseg\n\n1 / 0\n", "ZeroDivisionError: division by zero (mine.py:3)"),
        ("import sys\nsys.exit(3)\n", "it ends the program (sys.exit(3)) (mine.py:2)"),
        ("import no_such_library\n", "ModuleNotFoundError: No module named 'no_such_library' (mine.py:1)"),
        ("\n", "it implements no hook; implement one of kdseg_backbones, "),
    ],
    ids=["syntax", "raises", "exits", "library missing", "no hook"],
)
def test_a_plugin_file_that_does_not_load(folder, write, told, text, message):
    (folder / "mine.py").write_text(text)
    write(('["drawn.py"]', '[\n  "drawn.py",\n  "mine.py",\n]'))
    (line,) = told()
    assert line.startswith(f"recipe.toml:5: plugins.1: {message}")


def test_a_plugin_file_that_is_not_there(write, told):
    write(('["drawn.py"]', '["drawn.py", "drwn.py"]'))
    assert told() == ["recipe.toml:3: plugins.1: drwn.py: there is no such file"]


# Components that their plugin got wrong


def test_a_component_that_its_plugin_got_wrong_is_told_with_the_plugin_and_the_reason(folder, write, told):
    write(('{ use = "unet", base = 2 }', '"half_size"'))
    drawn = folder / "drawn.py"
    good = 'name: ClassVar[str] = "half_size"\n'
    text = drawn.read_text()
    assert text.count(good) == 1
    drawn.write_text(text.replace(good, f"{good}    width: complex = 8\n"))
    (line,) = told()
    place = "recipe.toml:23: models.student.backbone: backbone 'half_size' cannot be used: "
    assert line.startswith(
        f"{place}plugin drawn:drawn: HalfSize: option 'width': complex is no type of an option; use "
    )


def test_an_option_without_help_is_set_by_a_recipe_like_any_other(kdseg, folder, write, told):
    write(('{ use = "unet", base = 2 }', '{ use = "half_size", width = "8" }'))
    drawn = folder / "drawn.py"
    good = 'name: ClassVar[str] = "half_size"\n'
    drawn.write_text(
        drawn.read_text().replace(good, f"{good}    width: int\n").replace("stride=2", "stride=self.width")
    )
    place = "recipe.toml:23: models.student.backbone"
    assert told() == [f"{place}.width: expected an integer, found the string '8'"]
    write(('{ use = "unet", base = 2 }', '"half_size"'))
    assert told() == [f"{place}.width: missing: int"]
    write(('{ use = "unet", base = 2 }', '{ use = "half_size", width = 1 }'))
    assert kdseg("check", "recipe.toml").status == 0
