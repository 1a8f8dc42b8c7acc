from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS = {path.name for path in (ROOT / "plugins").iterdir() if (path / "py.typed").is_file()}


def test_each_folder_of_plugins_is_packaged_and_has_an_entry_point():
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert set(packages) == {"kdseg"} | {f"plugins/{folder}" for folder in FOLDERS}
    points = PROJECT["project"]["entry-points"]["kdseg"]
    assert set(points.values()) == FOLDERS
    assert all(module == f"kdseg_{name}" for name, module in points.items())


def test_the_installed_entry_points_are_those_of_the_project():
    installed = {point.name: point.value for point in metadata.distribution("kdseg").entry_points.select(group="kdseg")}
    assert installed == PROJECT["project"]["entry-points"]["kdseg"], (
        "the installation does not know the entry points of pyproject.toml: install again, `pip install -e .`"
    )


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_each_plugin_is_importable_by_its_own_name_and_typed(folder):
    from importlib.util import find_spec

    spec = find_spec(folder)
    assert spec is not None, f"{folder} is not on the path: install again, `pip install -e .`"
    assert spec.origin is not None, f"{folder} has no __init__.py"
    assert (Path(spec.origin).parent / "py.typed").is_file()


def test_the_templates_of_reports_are_in_the_wheel(tmp_path):
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    files = {path.name for path in (ROOT / "kdseg/engine/report/templates").iterdir()}
    folder = "kdseg/engine/report/templates/"
    packed = {name.removeprefix(folder) for name in ZipFile(wheel).namelist() if name.startswith(folder)}
    assert packed == files >= {"base.html.j2", "style.css"}


def test_import_linter_knows_every_plugin():
    linter = PROJECT["tool"]["importlinter"]
    assert set(linter["root_packages"]) == {"kdseg"} | FOLDERS
    (ban,) = [contract for contract in linter["contracts"] if contract["type"] == "forbidden"]
    assert set(ban["forbidden_modules"]) == FOLDERS
