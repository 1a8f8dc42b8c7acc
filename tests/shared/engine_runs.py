"""Fixtures with which tests run recipes of the tiny parts in `tests/kdseg/engine`, and look at what is left."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

from kdseg.engine.run.start import run_recipe
from kdseg.engine.run.summary import Finished
from kdseg.recipe.load import LoadedRecipe, load_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from kdseg.hooks import Hooks

ENGINE = Path(__file__).parents[1] / "kdseg" / "engine"
PLUGINS = ("parts.py", "part_losses.py")
RECIPES = ("base.toml", "pair.toml")


def copy_parts(folder: Path) -> None:
    """Bring the plugin files, and the recipes that the tests' recipes extend, into a folder."""
    for name in (*PLUGINS, *RECIPES):
        shutil.copy(ENGINE / name, folder)
    shutil.copytree(ENGINE / "stateful", folder / "stateful")


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the plugin files and the recipes that the tests' recipes extend."""
    copy_parts(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda _handle: None)  # no test pulls the plug, and it takes half of the time
    return tmp_path


@pytest.fixture(name="load")
def load_fixture(folder: Path) -> Callable[..., LoadedRecipe]:
    """Write what a recipe says beyond the one that it extends, and load it."""

    def load(text: str, *settings: str, name: str = "recipe", extends: str = "base.toml") -> LoadedRecipe:
        path = folder / f"{name}.toml"
        path.write_text(f'extends = "{extends}"\n{text}', encoding="utf-8")
        return load_recipe(path, settings)

    return load


@pytest.fixture(name="train")
def train_fixture(load: Callable[..., LoadedRecipe]) -> Callable[..., Finished]:
    """Run a recipe to its end in this process, watched by a `Hooks` where one is given."""

    def train(text: str, *settings: str, watcher: Hooks | None = None, **named: str) -> Finished:
        return run_recipe(load(text, *settings, **named), console=None if watcher is None else lambda: watcher)

    return train


def weights_of(run: Finished | Path, name: str, which: str = "last") -> dict[str, torch.Tensor]:
    """Give the weights that a run left of a participant."""
    folder = run.folder if isinstance(run, Finished) else run
    return load_file(folder / "models" / name / f"{which}.safetensors")


@pytest.fixture(name="weights")
def weights_fixture() -> Callable[..., dict[str, torch.Tensor]]:
    return weights_of


_TIMED = {"log.txt", "environment.json", "recipe.toml", "checksums.json", "report.html", ".report.html.draft"}
"""What tells of times and places. A run is finished before its report is written: a kill may leave the draft of one."""


def _without(text: str, *keys: str) -> dict[str, Any]:
    return {key: _hidden(value) for key, value in json.loads(text).items() if key not in keys}


def _hidden(value: Any) -> Any:
    """Leave of what a callback called `hardware` wrote that it is there."""
    if not isinstance(value, dict):
        return value
    return {key: key.startswith("hardware/") or _hidden(item) for key, item in value.items()}


@pytest.fixture(name="contents")
def contents_fixture() -> Callable[[Path], dict[str, Any]]:
    """Give all that a run leaves, but for what tells the time, a place, or the length of a text that tells the time."""

    def contents(run: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for file in sorted(run.rglob("*")):
            name = str(file.relative_to(run))
            if name == "metrics.jsonl":
                every = file.read_text(encoding="utf-8").splitlines()
                found[name] = [_hidden(_without(line, "seconds", "data_seconds")) for line in every]
            elif file.name == "state.json":
                found[name] = _without(file.read_text(encoding="utf-8"), "metrics_position", "seconds")
            elif file.name == "summary.json":
                found[name] = _without(file.read_text(encoding="utf-8"), "seconds", "folder", "name")
            elif file.parent.name == "profile":
                found[name] = "times"
            elif file.is_file() and file.name not in _TIMED:
                found[name] = file.read_bytes()
        return found

    return contents


@pytest.fixture(name="assert_same")
def assert_same_fixture() -> Callable[..., None]:
    """Hold weights by name against others; to the bit unless a tolerance is given."""

    def assert_same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], tolerance: float = 0.0) -> None:
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            torch.testing.assert_close(
                found[name], value, rtol=tolerance, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
            )

    return assert_same


@pytest.fixture(name="lines")
def lines_fixture() -> Callable[..., list[dict[str, Any]]]:
    """Give the lines of a run's metrics file, of one kind where one is named."""

    def lines(run: Finished | Path, kind: str | None = None) -> list[dict[str, Any]]:
        folder = run.folder if isinstance(run, Finished) else run
        every = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        return [line for line in every if kind in (None, line["kind"])]

    return lines
