from __future__ import annotations

from importlib import metadata

import pytest
from start_up import stays_within

from kdseg.cli import verbs
from kdseg.testing import fake_dist, heavy_imports

QUICK = [
    "components",
    "errors",
    "exports",
    "hooks",
    "hookspecs",
    "options",
    "plugins",
    "recipe",
    "registry",
    "testing",
    *(f"cli.{verb.replace('-', '_')}" for verb in verbs()),
]


@pytest.mark.parametrize("module", QUICK)
def test_the_core_outside_the_engine_loads_no_heavy_library(module):
    assert heavy_imports(f"import kdseg.{module}") == []


@pytest.mark.parametrize("plugin", sorted(point.value for point in metadata.entry_points(group="kdseg")))
def test_no_plugin_loads_a_heavy_library_when_imported(plugin):
    assert heavy_imports(f"import {plugin}") == []


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["list-plugins"], ["show", "loss", "cross_entropy"]])
def test_quick_verbs_load_no_heavy_library(words):
    assert heavy_imports(f"from kdseg.cli import main; main({words!r})") == []


def test_heavy_imports_sees_what_a_module_loads(tmp_path):
    fake_dist(tmp_path, "kdseg-mine", entry_points={}, files={"plug.py": "import numpy, cv2", "cv2.py": ""})
    assert heavy_imports("import plug", folder=tmp_path) == ["cv2", "numpy"]
    with pytest.raises(RuntimeError, match="no_such_module"):
        heavy_imports("import no_such_module")


@pytest.mark.parametrize(("words", "budget"), [(["--help"], 0.15), (["list-plugins"], 0.3)])
def test_start_up_stays_within_its_budget(words, budget):
    assert stays_within(words, budget)
