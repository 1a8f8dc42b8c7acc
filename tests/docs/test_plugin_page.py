"""The plugins of the page on plugins do what it says, beside a recipe and as a package."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from kdseg.components import KINDS
from kdseg.testing import fake_dist, on_path

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def folder(tmp_path, pages, monkeypatch):
    """A folder with the files of the page, and pictures for its dataset."""
    import cv2

    pages["docs/plugins.md"].write_files(tmp_path)
    noise = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind, shape, classes in (("images", (32, 40, 3), 256), ("masks", (32, 40), 2)):
            (tmp_path / "pictures" / split / kind).mkdir(parents=True)
            for number in range(4):
                picture = noise.integers(0, classes, shape, dtype=np.uint8)
                cv2.imwrite(str(tmp_path / "pictures" / split / kind / f"{number}.png"), picture)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_files_beside_the_recipe_train(folder, kdseg):
    status, out, err = kdseg("run", "mine.toml", "--set", "train.workers=0")
    assert status == 0, out + err
    lines = [json.loads(line) for line in (folder / "runs/mine/latest/metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "step"]
    assert len(steps) == 4
    assert steps[0]["loss/mimic"] > 0
    gaps = [line["gap"] for line in lines if line["kind"] == "callback"]
    scores = [line for line in lines if line["kind"] == "evaluation"]
    assert gaps == [line["val/teacher/miou"] - line["val/student/miou"] for line in scores]
    assert len(gaps) == 2


def test_the_loss_is_the_mean_of_squares(folder):
    import torch

    from kdseg import LossCall, LossContext, Prediction
    from kdseg.plugins import load_plugins

    ctx = LossContext(num_classes=3, class_shares=lambda: None, learner_taps={}, source_taps={})
    loss = load_plugins([folder / "my_losses.py"]).registry.find("loss", "my_mse").cls().build(ctx)
    learner, source = torch.randn(2, 2, 3, 4, 5, dtype=torch.float64)
    target = torch.zeros(2, 4, 5, dtype=torch.int64)
    target[0, 0] = 255
    call = LossCall(progress=0.0, images=torch.zeros(2, 3, 4, 5), generator=torch.Generator())
    found = loss(Prediction(logits=learner), Prediction(logits=source), target, call)
    expected = sum(
        ((learner[n, :, y, x] - source[n, :, y, x]) ** 2).sum() / 3
        for n in range(2)
        for y in range(4)
        for x in range(5)
        if target[n, y, x] != 255
    )
    torch.testing.assert_close(found, expected)


def test_the_dataset_tells_of_a_missing_mask(folder, kdseg):
    (folder / "pictures/val/masks/2.png").unlink()
    status, _, err = kdseg("check", "mine.toml")
    assert status == 2
    assert "2.png: has no mask" in err


def test_the_package_is_found(folder, pages, kdseg):
    blocks = {block.file: block.text for block in pages["docs/plugins.md"].blocks if block.file}
    project = tomllib.loads(blocks["pyproject.toml"])["project"]
    (points,) = project["entry-points"].values()
    (module,) = points.values()
    files = {f"{module}.py": blocks["my_losses.py"]}
    fake_dist(folder / "site", project["name"], entry_points=points, files=files, version=project["version"])
    with on_path(folder / "site"):
        status, out, _ = kdseg("list-plugins")
        assert status == 0
        assert "my_mse" in out
        assert "plugin kdseg-mine" not in out  # it has no problem
        status, out, err = kdseg("show", "loss", "my_mse")
        assert status == 0, err
        assert out.startswith("loss kdseg-mine/my_mse (plugin mine of kdseg-mine 0.1.0)")


def test_every_kind_has_its_row_and_its_hook():
    text = (DOCS / "plugins.md").read_text(encoding="utf-8")
    table = text[text.index("## The kinds") :].partition("\n\nRecipes name")[0]
    assert set(re.findall(r"^\| (\w+) \| ", table, re.MULTILINE)) == {"kind", *KINDS}
    assert all(f"`{kind.hook}`" in text for kind in KINDS.values())
