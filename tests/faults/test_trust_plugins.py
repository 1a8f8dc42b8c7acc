"""Plugins run when they are asked to: listing, showing and quick checks run only what declares their components."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kdseg.testing import fake_dist, on_path

ROOT = Path(__file__).parents[2]
PARTS = ROOT / "tests" / "kdseg" / "engine"
RECIPE = f"""
plugins = ["{PARTS}/parts.py"]
train = {{ steps = 4 }}
data = {{ dataset = "squares" }}
[models.student]
backbone = "tiny"
[terms.labels]
learner = "student"
loss = "cross_entropy"
"""
PLUGIN = """
from pathlib import Path
from typing import Annotated, ClassVar

from attrs import field, frozen

from kdseg import Backbone, Dataset, hookimpl

def plant(what):
    with Path("planted").open("a") as file:
        file.write(what + "\\n")

plant("import")

class Base(Backbone):
    def __init_subclass__(cls):
        plant("class")

@frozen(kw_only=True)
class Net(Base):
    \"\"\"A network.\"\"\"
    name: ClassVar[str] = "planter"
    width: Annotated[int, "channels"] = field(default=4, validator=lambda *_: plant("validator"))
    made: Annotated[list[int], "numbers"] = field(factory=lambda: plant("factory") or [1])

    def __attrs_post_init__(self):
        plant("instance")

    def build(self, ctx):
        plant("build")

    def taps(self, module):
        plant("taps")
        return {}

@frozen(kw_only=True)
class Data(Dataset):
    \"\"\"A dataset.\"\"\"
    name: ClassVar[str] = "planted"

    def build(self, ctx):
        plant("build")

    def class_table(self):
        plant("class table")

@hookimpl
def kdseg_backbones():
    plant("hook")
    return [Net]

@hookimpl
def kdseg_datasets():
    plant("hook")
    return [Data]
"""
DECLARED = {"import", "class", "hook", "factory"}
"""All that a plugin runs to say what it offers: its module, its hooks and the defaults of its options."""


def write(text):
    Path("job.toml").write_text(text, encoding="utf-8")


@pytest.fixture
def planter(tmp_path, monkeypatch):
    """An installed plugin that writes down what of it is run."""
    monkeypatch.chdir(tmp_path)
    site = tmp_path / "site"
    fake_dist(site, "kdseg-planter", entry_points={"planter": "kdseg_planter"}, files={"kdseg_planter.py": PLUGIN})

    def planted():
        return set(Path("planted").read_text().split("\n")) - {""} if Path("planted").exists() else set()

    with on_path(site):
        yield planted


def test_installing_a_plugin_runs_nothing(planter):
    assert planter() == set()


@pytest.mark.parametrize(
    "words",
    [["list-plugins"], ["list-plugins", "--json"], ["show", "backbone", "planter"], ["show", "loss", "cross_entropy"]],
)
def test_listing_and_showing_run_only_what_declares(kdseg, planter, words):
    status, out, err = kdseg(*words)
    assert (status, err) == (0, "")
    assert planter() == DECLARED
    assert "planter" in out or "cross_entropy" in out


def test_a_quick_check_makes_what_the_recipe_names_and_builds_nothing(kdseg, planter):
    write(RECIPE)
    assert kdseg("check", "--quick", "job.toml").status == 0
    assert planter() == DECLARED
    write(RECIPE.replace('"tiny"', '"planter"').replace('"squares"', '"planted"'))
    assert kdseg("check", "--quick", "job.toml").status == 0
    assert planter() == {*DECLARED, "validator", "instance"}


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"], ["show", "--help"]])
def test_help_imports_no_plugin(kdseg, planter, words):
    assert kdseg(*words).status == 0
    assert planter() == set()


@pytest.mark.parametrize("name", ["planter", "kdseg-planter:planter"])
@pytest.mark.parametrize(
    "words", [["list-plugins"], ["show", "loss", "cross_entropy"], ["check", "--quick", "job.toml"]]
)
def test_a_disabled_plugin_is_not_even_imported(kdseg, planter, monkeypatch, words, name):
    monkeypatch.setenv("KDSEG_DISABLE_PLUGINS", name)
    write(RECIPE)
    assert kdseg(*words).status == 0
    assert planter() == set()
    status, _, err = kdseg("show", "backbone", "planter")
    assert (status, planter()) == (2, set())
    assert "kdseg-planter:planter" in err


def test_help_of_a_fresh_interpreter_imports_no_plugin_either(planter, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "kdseg", "--help"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(ROOT), str(ROOT / "plugins")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, planter()) == (0, set())
    assert "Distil large segmentation networks" in done.stdout
