"""A run whose files were altered or lost, by hand or by a fault, is refused in plain words or goes on, told."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from fault_jobs import Stop, StopError, student_job

import kdseg
from kdseg.engine.folders.run_folder import find_run
from kdseg.engine.run.start import resume_run, run_recipe
from kdseg.errors import KdsegError
from kdseg.recipe.load import load_recipe

RECIPE = student_job(4) + '[callbacks.diary]\nuse = "diary"\n'


@pytest.fixture(autouse=True)
def on_one_thread(monkeypatch, one_thread):
    monkeypatch.setattr(os, "fsync", lambda _handle: None)


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """A run that stopped after its third step, with a checkpoint of the second, and one that is finished."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("origin"))
        Path("job.toml").write_text(RECIPE, encoding="utf-8")
        loaded = load_recipe("job.toml")
        with pytest.raises(StopError):
            run_recipe(loaded, console=Stop)
        return find_run(Path("runs/job")), run_recipe(loaded).folder


@pytest.fixture
def stopped(origin, tmp_path):
    return shutil.copytree(origin[0], tmp_path / "stopped")


@pytest.mark.parametrize("state", [{}, {"diary": None}, {"diary": []}, {"diary": {}}, {"diary": 1}])
def test_a_state_that_a_callback_cannot_read_is_told_with_its_name(stopped, state):
    checkpoint = stopped / "checkpoints" / "step-00000002"
    content = json.dumps(json.loads((checkpoint / "state.json").read_text()) | {"hooks": state}).encode()
    (checkpoint / "state.json").write_bytes(content)
    checksums = json.loads((checkpoint / "checksums.json").read_text())
    checksums["state.json"] = hashlib.sha256(content).hexdigest()
    (checkpoint / "checksums.json").write_text(json.dumps(checksums))
    with pytest.raises(KdsegError, match=r"callbacks\.diary: cannot take up its state from the checkpoint: "):
        resume_run(stopped)


def test_a_recipe_that_ends_before_its_checkpoint_is_told(stopped):
    recipe = stopped / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("steps = 4", "steps = 1"))
    with pytest.raises(KdsegError, match="the checkpoint is of step 2, but the recipe ends at 1"):
        resume_run(stopped)


@pytest.mark.parametrize("left", [None, 0, 10, 400])
def test_a_metrics_file_that_lost_lines_is_told_and_goes_on_with_whole_lines(stopped, left, caplog):
    file = stopped / "metrics.jsonl"
    before = file.read_bytes()
    file.unlink()
    if left is not None:
        file.write_bytes(before[:left])
    resume_run(stopped)
    assert f"metrics.jsonl: has lost lines: {left or 0} bytes are left of " in caplog.text
    after = file.read_bytes()
    kept = before[: before[: left or 0].rfind(b"\n") + 1]
    assert after.startswith(kept)
    lines = [json.loads(line) for line in after.removeprefix(kept).splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "step"] == [3, 4]


ODD = [None, 1, -1, 1e400, "x", "[[", [], [1], [None], [[1]], {}, {"a": 1}]
KEYS = ("backbone", "options", "classes", "colours", "mean", "std")


@pytest.mark.parametrize("key", KEYS)
def test_a_models_card_of_wrong_types_is_told(origin, tmp_path, key):
    folder = shutil.copytree(origin[1] / "models" / "student", tmp_path / "student")
    card = json.loads((folder / "model.json").read_text())
    for value in ODD:
        if key == "options" and isinstance(value, dict) and not value:
            continue  # a backbone with every default
        (folder / "model.json").write_text(json.dumps(card | {key: value}))
        with pytest.raises(KdsegError):
            kdseg.load(folder)


@pytest.mark.parametrize("text", ["", "[]", "null", "1", '"x"', "{}", "[" * 100_000])
def test_a_models_card_that_is_none_is_told(origin, tmp_path, text):
    folder = shutil.copytree(origin[1] / "models" / "student", tmp_path / "student")
    (folder / "model.json").write_text(text)
    with pytest.raises(KdsegError, match=r"model\.json: damaged: "):
        kdseg.load(folder)
