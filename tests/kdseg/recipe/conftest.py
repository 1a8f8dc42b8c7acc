from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kdseg.errors import ProblemsError
from kdseg.recipe.load import LoadedRecipe, load_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def only_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the installed plugins out: parts.py offers the names that these tests use."""
    monkeypatch.setattr(metadata, "entry_points", lambda **_: [])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the plugin file beside which recipes can be written."""
    shutil.copy(HERE / "parts.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def reference() -> str:
    """The recipe of the design: every kind of table."""
    return (HERE / "reference.toml").read_text(encoding="utf-8")


@pytest.fixture
def load(folder: Path) -> Callable[..., LoadedRecipe]:
    """Write the files of a recipe, the first of which is the recipe itself, and load it."""

    def load(files: dict[str, str] | str, *settings: str) -> LoadedRecipe:
        files = {"recipe.toml": files} if isinstance(files, str) else files
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        return load_recipe(folder / next(iter(files)), settings)

    return load


@pytest.fixture
def problems(load: Callable[..., LoadedRecipe]) -> Callable[..., list[str]]:
    """Load a broken recipe and give the lines that a person sees."""

    def problems(files: dict[str, str] | str, *settings: str) -> list[str]:
        with pytest.raises(ProblemsError) as caught:
            load(files, *settings)
        return str(caught.value).splitlines()

    return problems
