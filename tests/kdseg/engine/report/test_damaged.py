"""Runs that were killed, cut short or damaged are reported with what there is."""

from __future__ import annotations

import json
import os
import re

import pytest

from kdseg.engine.report.metrics import read_all
from kdseg.errors import KdsegError


def state(page):
    return page.find("p", class_="state")[0].text


def test_a_killed_run_is_reported_so_far(made, report):
    folder = made(summed=None)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "step", "step": 31, "loss/mimic": 0.')
    page = report(folder)
    assert state(page) == "unfinished not finished: 30 steps so far"
    assert "student 0.3625 mIoU, 0.0500 below teacher (0.4125), so far" in [line.text for line in page.find("li")]


def test_before_the_first_step_there_is_a_page(made, report):
    folder = made(summed=None, lines=[])
    page = report(folder)
    assert state(page) == "unfinished not finished: no step so far"
    assert page.table("participant")[1] == ["teacher", "–", "–", "–", "–", "kdseg/unet70m", "the labels"]
    for name in ("metrics.jsonl", "environment.json", "log.txt", "pictures"):
        (folder / name).unlink() if (folder / name).is_file() else (folder / name).rmdir()
    assert state(report(folder)) == "unfinished not finished: no step so far"


def test_before_the_first_evaluation_there_is_a_page(made, report):
    lines = [{"kind": "step", "step": 1, "turn": "teach", "seconds": 0.5, "loss/teacher-labels": 3.0}]
    page = report(made(summed=None, lines=lines))
    assert state(page) == "unfinished not finished: 1 steps so far"
    assert page.table("participant")[2][1:3] == ["–", "–"]


@pytest.mark.parametrize("name", ["metrics.jsonl", "summary.json", "environment.json", "recipe.toml", "log.txt"])
def test_a_run_cut_anywhere_is_reported(made, report, name):
    folder = made()
    whole = (folder / name).read_bytes()
    for end in range(0, len(whole), max(1, len(whole) // 8)):
        (folder / name).write_bytes(whole[:end])
        assert report(folder).find("h1")


@pytest.mark.parametrize("name", ["metrics.jsonl", "summary.json", "environment.json", "recipe.toml", "log.txt"])
@pytest.mark.parametrize(
    "content", [b"\xff\xfe\n", b"[1]\n", b"null\n", b'{"kind": "step"}\n', b"[" * 100_000 + b"\n", b"\0" * 99]
)
def test_a_run_with_a_damaged_file_is_reported(made, report, name, content):
    folder = made()
    (folder / name).write_bytes(content)
    assert report(folder).find("h1")


def test_what_cannot_be_read_is_told(made, report):
    folder = made()
    text = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    text[4:6] = ["{half\n", '"step"\n']
    (folder / "metrics.jsonl").write_text("".join(text))
    (folder / "environment.json").write_text("{")
    told = [line.text for line in report(folder).find("li")]
    assert "metrics.jsonl: 2 lines are damaged and left out" in told
    assert any(re.match(r"environment\.json is damaged: Expecting", line) for line in told)


def test_wrong_sorts_of_values_harm_nobody(made, report):
    lines = [
        {"kind": "step", "step": 1, "turn": 7, "seconds": "long", "loss/labels": [1], "loss/mimic": {"a": 1}},
        {"kind": "step", "step": 10**400, "loss/labels": 1.0},
        {"kind": "step", "step": "two", "loss/labels": 1.0},
        {"kind": "step", "step": 2, "turn": "x", "seconds": None, "loss/labels": 10**400, "loss/mimic": True},
        {"kind": "evaluation", "step": 2, "val/student/miou": "good", "val/student/iou": {"road": "x", "sky": 0.1}},
        {"kind": 3, "step": 2, "what": 1e400},
        {"kind": "step", "step": -3, "loss/labels": -1.0},
    ]
    recipe = {"name": "odd", "models": {"student": {"weights": 3}, "b": 4}, "terms": {"labels": 3}, "evaluate": 2}
    summed = {"participants": {"student": 3}, "steps": "many", "seconds": "long", "dropped_callbacks": 3}
    page = report(made(lines=lines, recipe=recipe, summed=summed))
    assert page.find("h1")[0].text == "odd"


def test_the_error_that_ends_a_run_is_told(made, report):
    folder = made(summed=None)
    page = report(folder, error=KdsegError("step 30: loss/mimic is inf:\ntraining diverged"))
    assert state(page) == "failed ended by an error after step 30"
    assert page.find("section", class_="bad")[0].text == "What ended it step 30: loss/mimic is inf: training diverged"
    page = report(folder, error=ZeroDivisionError("division by zero"))
    assert page.find("section", class_="bad")[0].text == "What ended it ZeroDivisionError: division by zero"


def test_the_log_tells_it_later_until_the_run_goes_on(made, report):
    folder = made(summed=None)
    with (folder / "log.txt").open("a") as file:
        file.write("2026-01-01 00:00:09,123 ERROR the run ended: the disk is full\nmend it\n")
    assert report(folder).find("section", class_="bad")[0].text == "What ended it the disk is full mend it"
    with (folder / "log.txt").open("a") as file:
        file.write("2026-01-01 00:00:12,123 INFO resumed at step 20 of 30\n")
    assert not report(folder).find("section", class_="bad")


def test_a_folder_without_a_run_is_told(tmp_path, report):
    with pytest.raises(KdsegError, match="no run here"):
        report(tmp_path)


def test_a_file_that_may_not_be_read_is_told(made, report):
    folder = made()
    (folder / "environment.json").unlink()
    (folder / "environment.json").mkdir()
    assert "environment.json cannot be read: Is a directory" in [line.text for line in report(folder).find("li")]


def test_the_last_score_is_none_where_the_last_evaluation_gave_none(made, report):
    lines = [{"kind": "evaluation", "step": 1, "val/student/miou": 0.5}]
    lines.append({"kind": "evaluation", "step": 2, "val/student/miou": None})
    page = report(made(lines=lines))
    assert page.table("participant")[2][1:3] == ["0.5000 step 1", "–"]
    assert page.find("svg", role="img")[0].attrs["aria-label"].startswith("mIoU. student: 0.5 at step 1")


def test_of_a_very_long_file_blocks_are_read_and_all_evaluations(made, monkeypatch):
    lines = []
    for step in range(1, 6001):
        lines.append({"kind": "step", "step": step, "turn": "ab"[step % 2], "seconds": 0.1, "loss/labels": float(step)})
        if step % 100 == 0:
            lines.append({"kind": "evaluation", "step": step, "val/student/miou": step / 10_000})
    folder = made(lines=lines)
    size = os.path.getsize(folder / "metrics.jsonl")  # noqa: PTH202
    monkeypatch.setattr("kdseg.engine.report.metrics.MOST_BYTES", size // 3)
    found = read_all(folder, ["student"], "miou")
    assert found.every in (3, 4)
    assert sum(point.count for point in found.evaluations.points("val/student/miou")) == 60
    read = sum(point.count for point in found.steps.points("loss/labels"))
    assert 6000 / 5 < read < 6000 / 2
    turns = {name: sum(point.count for point in found.turns.points(name)) for name in found.turns}
    assert turns["a"] == turns["b"]
    assert found.last_step == 6000


def test_of_a_very_long_file_steps_and_time_are_told_for_all_of_it(made, report, monkeypatch):
    lines = [
        {"kind": "step", "step": step, "turn": "ab"[step % 2], "seconds": 0.1, "loss/labels": 1.0}
        for step in range(1, 6001)
    ]
    folder = made(lines=lines, summed=None)
    monkeypatch.setattr("kdseg.engine.report.metrics.MOST_BYTES", (folder / "metrics.jsonl").stat().st_size // 3)
    page = report(folder)
    facts = dict(zip((one.text for one in page.find("dt")), (one.text for one in page.find("dd")), strict=True))
    assert facts["Steps"].split() == ["6", "000"]
    assert facts["Time"] == "about 10 min 00 s"
    counts = {row[0]: row[1].split() for row in page.table("steps")[1:]}
    assert counts["all steps after the first"] == ["about", "5", "997"]
    assert counts["turn a"] == ["about", "3", "000"]


def test_lines_of_json_are_read_strictly(made):
    folder = made(lines=[])
    (folder / "metrics.jsonl").write_text('{"kind": "step", "step": 1, "seconds": NaN, "loss/labels": Infinity}\n')
    found = read_all(folder, [], "miou")
    assert found.lost == {"loss/labels": 1}
    assert found.first.steps == 0
    assert json.dumps(found.scores) == "{}"
