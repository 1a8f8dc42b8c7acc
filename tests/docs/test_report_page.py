"""What the page on reports says: its commands work, and the data have the keys that it tells."""

from __future__ import annotations

import json
import re
import shlex

import pytest


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A working folder with runs of the names that the page uses."""
    for number, name in enumerate(("online_alternating", "first", "second")):
        run = tmp_path / "runs" / name / "20260101-000000"
        run.mkdir(parents=True)
        recipe = f'name = "{name}"\nseed = 1\n[models.student]\nbackbone = {{ use = "unet", base = {number} }}\n'
        (run / "recipe.toml").write_text(recipe, encoding="utf-8")
        line = {"kind": "evaluation", "step": 9, "val/student/miou": 0.5, "val/student/iou": {"road": 0.5}}
        (run / "metrics.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_its_commands_work(kdseg, pages, runs):
    lines = [line for block in pages["docs/report.md"].blocks for line in block.text.splitlines()]
    assert len(lines) == 3
    for line in lines:
        assert kdseg(*shlex.split(line)[1:]).status == 0, line
    assert (runs / "runs/online_alternating/20260101-000000/report.html").exists()
    assert (runs / "report.html").exists()


def test_the_data_have_the_keys_that_it_tells(kdseg, pages, runs):
    found = json.loads(kdseg("compare", "runs/first", "runs/second", "--json").out)
    told = pages["docs/report.md"].prose.partition("## For programs")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", told, flags=re.MULTILINE)) == found.keys()
    entry = found["scores"][0]["groups"][1]
    for name in (
        *found["groups"][0],
        *found["groups"][0]["runs"][0],
        *found["scores"][0],
        *entry,
        *entry["difference"],
    ):
        assert f"`{name}`" in told, name
