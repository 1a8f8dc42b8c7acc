from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kdseg.errors import KdsegError
from kdseg.recipe import load as module
from kdseg.recipe.load import find_recipe, load_recipe

HERE = Path(__file__).parent


def test_the_reference_recipe_says_what_it_says(load, reference, folder):
    loaded = load(reference)
    recipe = loaded.recipe
    assert loaded.path == folder / "recipe.toml"
    assert (recipe.name, recipe.seed, recipe.train.epochs, recipe.train.batch_size) == ("online-alternating", 7, 6, 8)
    assert recipe.data.dataset.size == (64, 128)
    assert [(each.use, each.options) for each in recipe.data.augment] == [("HorizontalFlip", {"p": 0.5})]
    assert recipe.data.mean == (0.485, 0.456, 0.406)
    assert recipe.models["teacher"].optimizer.options == {"lr": 3e-4, "weight_decay": 1e-4}
    assert recipe.models["student"].schedule.use == "poly"
    assert recipe.turns.order == ("teach", "study", "study")
    assert [term.turn for term in recipe.terms.values()] == [("teach",), ("study",), ("study",)]
    assert recipe.terms["mimic"].source == ("teacher",)
    assert recipe.terms["mimic"].loss.temperature == 4.0
    assert recipe.callbacks["best"].keep == 2
    assert recipe.tracking.wandb.project == "kdseg"
    assert recipe.output.folder == folder / "runs"


def test_a_name_defaults_to_the_stem_of_the_file(load, reference):
    text = reference.replace('name = "online-alternating"\n', "")
    assert load({"two words.toml": text}).recipe.name == "two words"


def test_a_byte_order_mark_and_windows_lines_are_read(folder, reference):
    (folder / "windows.toml").write_bytes(b"\xef\xbb\xbf" + reference.replace("\n", "\r\n").encode())
    assert load_recipe("windows.toml").recipe.seed == 7


def test_later_phases_place_problems_by_key(load, reference):
    files = {"recipe.toml": 'extends = "base.toml"\n[models.student]\nclip = 2\n', "base.toml": reference}
    loaded = load(files, "terms.mimic.loss.temperature=2")

    def told(key: str) -> str:
        return str(loaded.problem(key, "no"))

    assert told("models.student.clip") == "recipe.toml:3: models.student.clip: no"
    assert told("models.student.optimizer.lr") == "base.toml:26: models.student.optimizer.lr: no"
    assert told("models.teacher.backbone.use") == "base.toml:19: models.teacher.backbone: no"
    assert told("models.teacher.optimizer.momentum") == "base.toml:20: models.teacher.optimizer.momentum: no"
    assert told("models.student.schedule.power") == "recipe.toml:2: models.student.schedule.power: no"
    assert told("data.augment.0.p") == "base.toml:16: data.augment.0.p: no"
    assert told("terms.mimic.loss.temperature") == "--set: terms.mimic.loss.temperature: no"
    assert told("terms.mimic.loss") == "base.toml:47: terms.mimic.loss: no"
    assert told("models.teacher.optimizer.l r") == 'base.toml:20: models.teacher.optimizer."l r": no'
    assert told("checkpoint.every") == "recipe.toml:1: checkpoint.every: no"


def test_a_file_goes_before_a_bundled_recipe_of_its_name(folder, monkeypatch):
    bundled = folder / "bundled"
    bundled.mkdir()
    monkeypatch.setattr(module, "_bundled_folder", lambda: bundled)
    (bundled / "online.toml").touch()
    assert find_recipe("online") == find_recipe("online.toml") == bundled / "online.toml"
    (folder / "online.toml").touch()
    assert find_recipe("online.toml") == find_recipe(Path("online.toml")) == folder / "online.toml"


def test_a_recipe_that_is_not_there_is_told_with_the_nearest(folder, monkeypatch):
    monkeypatch.setattr(module, "_bundled_folder", lambda: folder / "none")
    (folder / "online.toml").touch()
    with pytest.raises(KdsegError, match=r"no recipe 'onlin.toml'; did you mean 'online.toml'\?"):
        find_recipe("onlin.toml")
    with pytest.raises(KdsegError, match="is a folder"):
        find_recipe(".")


def test_the_checkout_bundles_its_recipes():
    assert find_recipe("online_alternating").parent == Path(module.__file__).parents[2] / "recipes"


def test_reading_a_recipe_loads_no_heavy_library(folder, reference):
    (folder / "recipe.toml").write_text(reference)
    code = (
        "import sys; from importlib import metadata; metadata.entry_points = lambda **_: []\n"
        "from kdseg.recipe.load import load_recipe; from kdseg.recipe.save import plain\n"
        "loaded = load_recipe('recipe.toml'); plain(loaded.recipe, loaded.plugins.registry)\n"
        "print({'torch', 'accelerate', 'wandb', 'albumentations', 'cv2', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
