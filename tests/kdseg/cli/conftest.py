from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
PLUGIN = HERE / "drawn.py"


@pytest.fixture(scope="session")
def recipe() -> str:
    """A sound recipe of six steps, of well under a second."""
    return (HERE / "recipe.toml").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Path:
    """A working folder with the plugin file that recipes here name."""
    shutil.copy(PLUGIN, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, recipe: str) -> Path:
    """The folder above a finished run of the sound recipe, with a seed for which the best weights are not the last.

    Its plugin file is left only as the run's own copy.
    """
    from kdseg.engine.run.start import run_recipe
    from kdseg.recipe.load import load_recipe

    folder = tmp_path_factory.mktemp("finished")
    (folder / "recipe.toml").write_text(recipe, encoding="utf-8")
    shutil.copy(PLUGIN, folder)
    run_recipe(load_recipe(folder / "recipe.toml", ["seed=4", "evaluate.every=1"]))
    (folder / PLUGIN.name).unlink()
    return folder / "runs" / "job"


@pytest.fixture
def write(folder: Path, recipe: str) -> Callable[..., Path]:
    """Write ``recipe.toml``: the sound recipe with some of its text replaced."""

    def write(*changes: tuple[str, str], name: str = "recipe.toml") -> Path:
        text = recipe
        for good, bad in changes:
            assert text.count(good) == 1, good
            text = text.replace(good, bad)
        (folder / name).write_text(text, encoding="utf-8")
        return folder / name

    return write


@pytest.fixture
def told(kdseg: Callable[..., Any], folder: Path) -> Callable[..., list[str]]:
    """Check ``recipe.toml`` as it lies there, and give the lines of what is told; nothing may be written."""

    def told(*settings: str) -> list[str]:
        before = sorted(folder.rglob("*"))
        status, out, err = kdseg("check", "recipe.toml", *(word for one in settings for word in ("--set", one)))
        assert (status, out) == (2, "")
        assert sorted(folder.rglob("*")) == before
        return err.splitlines()

    return told
