"""The diagnostic of the page on diagnostics works beside a recipe, and the page tells of every option of the verb."""

from __future__ import annotations

import json
import shutil

import cv2
import pytest

from kdseg import load
from kdseg.cli.diagnose import command
from kdseg.recipe.load import load_recipe


@pytest.fixture
def folder(tmp_path, pages, root, monkeypatch):
    """A folder with the page's file, and a recipe that lists it."""
    pages["docs/diagnostics.md"].write_files(tmp_path)
    shutil.copy(root / "tests/kdseg/cli/drawn.py", tmp_path)
    recipe = (root / "tests/kdseg/cli/recipe.toml").read_text(encoding="utf-8")
    recipe = recipe.replace('"drawn.py"', '"drawn.py", "my_diagnostics.py"').replace("steps = 6", "steps = 2")
    (tmp_path / "recipe.toml").write_text(recipe, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_diagnostic_of_the_page_counts_what_it_says(folder, kdseg):
    import torch

    assert kdseg("run", "recipe.toml").status == 0
    words = ("--set", "below=0.4", "--images", "2", "--json")
    status, out, err = kdseg("diagnose", "unsure", "runs/job", "runs/job", "--model", "teacher", *words)
    assert status == 0, err
    found = json.loads(out)
    samples = load_recipe("runs/job/latest/recipe.toml").recipe.data.dataset.build(_Val())
    images = torch.stack([torch.from_numpy(samples[index].image) for index in (0, 4)]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        share = (load("runs/job", "teacher")(images).softmax(1).amax(1) < 0.4).double().mean().item()
    for trial in ("trial 1", "trial 2"):
        assert found["tables"]["shares"][trial]["unsure"] == pytest.approx(share, abs=2e-3)
    assert [cv2.imread(file).shape for file in found["pictures"].values()] == [(32, 32, 3)] * 2


class _Val:
    split = "val"


def test_the_page_tells_of_every_option(pages):
    rows = [row for row in pages["docs/diagnostics.md"].prose.splitlines() if row.startswith("| `")]
    told = " ".join(row.split("|")[1] for row in rows)
    for option in (name for parameter in command.params for name in parameter.opts if name.startswith("-")):
        assert f"`{option}" in told
