"""`kdseg init` and the datasets that it asks."""

from __future__ import annotations

import tomllib

import pytest

from kdseg.testing import fake_dist, on_path

DATASET = """
from typing import Annotated, ClassVar
from pathlib import Path
from attrs import frozen
from kdseg import ClassTable, Dataset, KdsegError, Proposal, hookimpl

@frozen(kw_only=True)
class Mine(Dataset):
    \"\"\"A dataset with a layout of its own.\"\"\"
    name: ClassVar[str] = NAME
    root: Annotated[Path, "its folder"]
    year: Annotated[int, "which"] = 1999

    @classmethod
    def propose(cls, folder):
        if not (folder / "mine.txt").exists():
            return None
        return Proposal(
            options={"year": 2001}, notes=("It is of " + "2001. " * 40,), images={"train": 3, "val": 1},
            sizes={(40, 700): 3}, values={str(value): 0.04 for value in range(25)},
        )

    def build(self, ctx):
        raise KdsegError("not here")

@hookimpl
def kdseg_datasets():
    return [Mine]
"""


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


@pytest.mark.parametrize(("name", "written"), [("mine", "mine"), ("folder", "kdseg-x/folder")])
def test_a_dataset_that_knows_the_folder_is_taken_before_the_one_that_reads_any(name, written, photos, kdseg, tmp_path):
    (photos / "mine.txt").touch()
    with on_path(tmp_path / "site") as site:
        files = {f"plug_{name}.py": DATASET.replace("NAME", repr(name))}
        fake_dist(site, "kdseg-x", entry_points={"x": f"plug_{name}"}, files=files)
        status, out, _ = kdseg("init", "photos")
    assert status == 0
    assert "train  3 images" in out
    assert "…   5 more" in out
    text = (tmp_path / "recipe.toml").read_text(encoding="utf-8")
    recipe = tomllib.loads(text)
    assert recipe["data"]["dataset"] == {"use": written, "root": "photos", "year": 2001}
    assert recipe["train"]["batch_size"] == 3
    assert recipe["data"]["augment"][0] == {"use": "RandomCrop", "height": 40, "width": 512, "pad_if_needed": True}
    assert all(len(line) <= 120 for line in text.splitlines())


@pytest.mark.parametrize(
    ("line", "told"),
    [('raise RuntimeError("boom")', "RuntimeError: boom"), ("return 3", "TypeError: it gave 3, no Proposal")],
    ids=["raises", "another type"],
)
def test_a_dataset_that_fails_leaves_the_folder_to_others(line, told, photos, kdseg, tmp_path):
    (photos / "mine.txt").touch()
    with on_path(tmp_path / "site") as site:
        failing = DATASET.replace('if not (folder / "mine.txt").exists():', f"if True:\n            {line}")
        for letter, name, text in (("a", "bad", failing), ("x", "mine", DATASET)):
            module = f"plug_{name}{len(line)}"  # of its own: Python keeps what it has imported
            files = {f"{module}.py": text.replace("NAME", repr(name))}
            fake_dist(site, f"kdseg-{letter}", entry_points={letter: module}, files=files)
        status, _, err = kdseg("init", "photos")
    assert (status, err) == (0, f"warning: dataset kdseg-a/bad cannot look at photos: {told}\n")
    assert tomllib.loads((tmp_path / "recipe.toml").read_text(encoding="utf-8"))["data"]["dataset"]["use"] == "mine"


def test_a_folder_that_no_dataset_reads_is_told(photos, kdseg, monkeypatch):
    monkeypatch.setenv("KDSEG_DISABLE_PLUGINS", "folder")
    status, out, err = kdseg("init", "photos")
    assert (status, out) == (2, "")
    assert "no dataset knows how to read this folder" in err


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("mine.toml", "mine.toml: is a file; name the folder of the images\n"),
        ("nothing", "nothing: there is no such folder\n"),
    ],
)
def test_what_is_no_folder_is_told(photos, kdseg, tmp_path, path, told):
    (tmp_path / "mine.toml").touch()
    assert kdseg("init", path) == (2, "", told)


def test_a_recipe_that_cannot_be_written_is_told(photos, kdseg, tmp_path):
    (photos / "mine.txt").touch()
    (tmp_path / "file").touch()
    with on_path(tmp_path / "site") as site:
        files = {"plug_written.py": DATASET.replace("NAME", "'mine'")}
        fake_dist(site, "kdseg-x", entry_points={"x": "plug_written"}, files=files)
        status, _, err = kdseg("init", "photos", "-o", "file/recipe.toml")
    assert status == 2
    assert "file/recipe.toml: cannot be written" in err


def test_names_for_a_dataset_that_has_its_own_are_refused(photos, kdseg, tmp_path):
    (photos / "mine.txt").touch()
    (photos / "classes.txt").write_text("a", encoding="utf-8")
    with on_path(tmp_path / "site") as site:
        files = {"plug_own.py": DATASET.replace("NAME", "'mine'")}
        fake_dist(site, "kdseg-x", entry_points={"x": "plug_own"}, files=files)
        status, _, err = kdseg("init", "photos", "--classes", "photos/classes.txt")
    assert status == 2
    assert "--classes: the dataset mine, which reads this folder, knows its classes itself" in err
