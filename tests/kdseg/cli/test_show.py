from __future__ import annotations

import json
import re

import pytest

from kdseg.testing import fake_dist, on_path

SOURCE = """
from pathlib import Path
from typing import Annotated, ClassVar, Literal
from attrs import field, frozen
from kdseg import Loss, hookimpl

@frozen(kw_only=True)
class Inner(Loss):
    \"\"\"Has no options.\"\"\"
    name: ClassVar[str] = "inner"
    role: ClassVar[str] = "distillation"
    strength: Annotated[float, "how much"] = 0.5
    def build(self, ctx):
        raise NotImplementedError

@frozen(kw_only=True)
class Outer(Loss):
    \"\"\"Sums [red]others[/red].

    It says more on a second line:
        indented.
    \"\"\"
    name: ClassVar[str] = "outer"
    role: ClassVar[str] = "distillation"
    requires: ClassVar[tuple[str, ...]] = ("nosuchlib>=2",)
    count: Annotated[int, "how many"]
    mode: Annotated[Literal["mean", "sum"], "how to reduce"] = "mean"
    size: Annotated[tuple[int, int], "height and width"] = (64, 128)
    root: Annotated[Path | None, "a folder"] = None
    flip: Annotated[bool, "whether to flip"] = True
    inner: Annotated[Loss, "which loss"] = Inner()
    def build(self, ctx):
        raise NotImplementedError

@frozen(kw_only=True)
class Bare(Inner):
    \"\"\"Bare.\"\"\"
    name: ClassVar[str] = "bare"

@hookimpl
def kdseg_losses():
    return [Inner, Outer, Bare]
"""


@pytest.fixture(autouse=True)
def dist(tmp_path):
    """Install a plugin with two losses."""
    with on_path(tmp_path / "site") as folder:
        fake_dist(folder, "kdseg-mine", entry_points={"mine": "plug_mine"}, files={"plug_mine.py": SOURCE}, version="4")
        yield


def test_show_tells_help_options_and_origin(kdseg):
    status, out, err = kdseg("show", "loss", "outer")
    assert (status, err) == (0, "")
    assert (
        out
        == """\
loss kdseg-mine/outer (plugin mine of kdseg-mine 4)
needs nosuchlib>=2

Sums [red]others[/red].

It says more on a second line:
    indented.

options
  count  int              required                                   how many
  mode   "mean" | "sum"   default "mean"                             how to reduce
  size   tuple[int, int]  default [64, 128]                          height and width
  root   Path | None      default none                               a folder
  flip   bool             default true                               whether to flip
  inner  loss             default { use = "inner", strength = 0.5 }  which loss
"""
    )


def test_an_option_without_help_is_shown_without(kdseg, tmp_path):
    source = SOURCE.replace('strength: Annotated[float, "how much"]', "strength: float")
    with on_path(tmp_path / "bare") as folder:
        fake_dist(folder, "kdseg-bare", entry_points={"bare": "plug_bare"}, files={"plug_bare.py": source})
        assert kdseg("show", "loss", "kdseg-bare/inner").out.endswith("options\n  strength  float  default 0.5\n")
        (option,) = json.loads(kdseg("show", "loss", "kdseg-bare/inner", "--json").out)["options"]
        assert option == {"name": "strength", "type": "float", "help": "", "required": False, "default": 0.5}
        told = "  loss Inner: option 'strength' has no help; write `strength: Annotated[float, \"its help\"]`\n"
        assert f"plugin kdseg-bare:bare 1.0: ok\n{told}" in kdseg("list-plugins").out


def test_json_holds_the_same(kdseg):
    data = json.loads(kdseg("show", "loss", "kdseg-mine/outer", "--json").out)
    assert (data["kind"], data["qualified"], data["version"]) == ("loss", "kdseg-mine/outer", "4")
    assert data["requires"] == ["nosuchlib>=2"]
    assert data["help"].endswith("line:\n    indented.")
    options = {option["name"]: option for option in data["options"]}
    assert options["count"] == {"name": "count", "type": "int", "help": "how many", "required": True}
    assert options["root"]["default"] is None
    assert options["size"]["default"] == [64, 128]
    assert options["inner"]["default"] == {"use": "inner", "strength": 0.5}


def test_on_a_narrow_terminal_nothing_is_lost(kdseg, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    out = kdseg("show", "loss", "outer").out
    table = re.sub(r"\x1b\[[0-9;]*m", "", out.partition("options")[2])
    assert all(len(line) <= 60 for line in table.splitlines())
    cells = "count mode size root flip inner required which loss height and width 0.5 128]"
    assert not [word for word in cells.split() if word not in table]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("loss", "outre"), "unknown loss 'outre'; did you mean 'outer'?"),
        (("los", "outer"), "unknown kind 'los'; did you mean 'loss'?"),
        (("backbone", "outer"), "unknown backbone 'outer'; a loss is called so"),
    ],
)
def test_unknown_words_exit_with_2_and_a_suggestion(kdseg, words, text):
    status, out, err = kdseg("show", *words)
    assert (status, out) == (2, "")
    assert err.startswith(text)
    assert err.count("\n") == 1


def test_an_exporter_says_what_it_writes_and_why_not_more(kdseg):
    status, out, _ = kdseg("show", "exporter", "onnx")
    assert status == 0
    assert "\nwrites .onnx in fp32, int8\nnot in bf16: ONNX Runtime has no convolution in bf16" in out
    data = json.loads(kdseg("show", "exporter", "pt2", "--json").out)
    assert (data["suffix"], data["precisions"], list(data["cannot"])) == (".pt2", ["fp32", "bf16"], ["int8"])


def test_the_help_names_every_kind(kdseg):
    from kdseg.components import KINDS

    told = " ".join(kdseg("show", "--help").out.split())
    assert all(kind in re.split(r"[ ,;]+", told[told.index("KIND is ") :]) for kind in KINDS)
