from __future__ import annotations

import json
import re

import pytest

from kdseg.components import KINDS
from kdseg.testing import fake_dist, on_path

NET = """
from typing import ClassVar
from attrs import frozen
from kdseg import Backbone, hookimpl

@frozen(kw_only=True)
class Net(Backbone):
    \"\"\"A [bold]tiny[/] net.

    More about it.
    \"\"\"
    name: ClassVar[str] = "tinynet"
    def build(self, ctx):
        raise NotImplementedError

@hookimpl
def kdseg_backbones():
    return [Net]
"""


@pytest.fixture
def dists(tmp_path):
    """Install two plugins that clash, one that is broken and one to disable."""
    with on_path(tmp_path / "site") as folder:
        fake_dist(folder, "kdseg-a", entry_points={"net": "plug_a"}, files={"plug_a.py": NET}, version="3.1")
        fake_dist(folder, "kdseg-b", entry_points={"net": "plug_b"}, files={"plug_b.py": NET})
        fake_dist(folder, "kdseg-c", entry_points={"bad": "plug_c"}, files={"plug_c.py": "import no_such_library"})
        fake_dist(folder, "kdseg-d", entry_points={"off": "plug_d"}, files={"plug_d.py": NET})
        yield folder


def test_every_kind_is_a_heading_and_every_plugin_is_told(kdseg, dists, monkeypatch):
    monkeypatch.setenv("KDSEG_DISABLE_PLUGINS", "off")
    status, out, err = kdseg("list-plugins")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert [line for line in lines if line in {kind.plural for kind in KINDS.values()}] == [
        kind.plural for kind in KINDS.values()
    ]
    rows = [re.split(r"  +", line.strip()) for line in lines]
    assert ["kdseg-a/tinynet", "kdseg-a 3.1 (net)", "A [bold]tiny[/] net."] in rows
    assert ["kdseg-b/tinynet", "kdseg-b 1.0 (net)", "A [bold]tiny[/] net."] in rows
    assert lines[lines.index("plugin kdseg-c:bad 1.0: failed") + 1].startswith("  ModuleNotFoundError: No module")
    assert "KDSEG_DISABLE_PLUGINS" in lines[lines.index("plugin kdseg-d:off 1.0: disabled") + 1]


def test_a_kind_without_components_says_so(kdseg, monkeypatch):
    bundled = "unet,road,losses,watch,biasvar,teaching,gates,folder,huggingface,programs,timm"
    monkeypatch.setenv("KDSEG_DISABLE_PLUGINS", bundled)
    assert kdseg("list-plugins").out.count("\n  none\n") == len(KINDS)


def test_columns_are_aligned(kdseg, dists):
    lines = [line for line in kdseg("list-plugins").out.splitlines() if "[bold]" in line]
    assert len(lines) == 3
    assert len({line.index("A [bold]") for line in lines}) == 1


def test_json_holds_the_same(kdseg, dists):
    status, out, _ = kdseg("list-plugins", "--json")
    data = json.loads(out)
    assert status == 0
    assert list(data["kinds"]) == list(KINDS)
    assert {
        "name": "tinynet",
        "qualified": "kdseg-a/tinynet",
        "plugin": "net",
        "distribution": "kdseg-a",
        "version": "3.1",
        "summary": "A [bold]tiny[/] net.",
    } in data["kinds"]["backbone"]
    (broken,) = [plugin for plugin in data["plugins"] if plugin["distribution"] == "kdseg-c"]
    assert broken["status"] == "failed"
    assert "no_such_library" in broken["problems"][0]
    (sound,) = [plugin for plugin in data["plugins"] if plugin["distribution"] == "kdseg-a"]
    assert sound["components"] == ["backbone kdseg-a/tinynet"]


def test_on_a_terminal_nothing_is_read_as_markup(kdseg, dists, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    out = kdseg("list-plugins").out
    assert "[bold]tiny[/]" in out
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in out.splitlines() if "tinynet" in line) <= 60
