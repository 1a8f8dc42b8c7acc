"""Broken recipes through the command line: all is told where it can be mended, and nothing is trained or written."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

BROKEN = tomllib.loads((Path(__file__).parent / "broken.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("what", BROKEN)
def test_check_tells_file_line_key_and_mend(kdseg, folder, write, what):
    case = BROKEN[what]
    changes = [(case["good"], case["bad"]), *([tuple(case["also"])] if "also" in case else [])]
    write(*changes)
    before = sorted(folder.rglob("*"))
    status, out, err = kdseg("check", "recipe.toml")
    assert err.splitlines() == [f"recipe.toml:{line}" for line in case["told"]]
    assert (status, out) == (2, "")
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    "what",
    ["broken TOML", "a misspelt key", "an unknown optimizer", "a batch larger than the dataset", "an unknown metric"],
)
def test_run_tells_the_same_before_it_trains(kdseg, folder, write, what):
    case = BROKEN[what]
    write((case["good"], case["bad"]))
    before = sorted(folder.rglob("*"))
    status, out, err = kdseg("run", "recipe.toml")
    told = [line for line in err.splitlines() if not line.startswith("malloc: ")]
    assert told == [f"recipe.toml:{line}" for line in case["told"]]
    assert (status, out) == (2, "")
    assert sorted(folder.rglob("*")) == before
