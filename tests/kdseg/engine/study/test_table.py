"""The table and its picture, of runs that are but summaries."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kdseg.engine.study.checks import check_sweep
from kdseg.engine.study.picture import draw_table
from kdseg.engine.study.runs import plan_sweep
from kdseg.engine.study.table import make_table, markdown, text_notes, text_rows

SCORES = {"alone-seed3": 0.5, "alone-seed5": 0.4, "offline-seed3": 0.53, "offline-seed5": 0.45}


def participant(score, steps, best=None):
    return {"miou": score, "steps": steps, "best": {"step": 2, "value": best or score}}


@pytest.fixture
def table(sweep, study, monkeypatch):
    """Give the table of finished runs with these scores."""

    def table(scores=SCORES, *changes, failures=None, steps=4):
        file = sweep(*changes)
        rows = check_sweep(file, plan_sweep(file))

        def finished(run):
            score = scores.get(run.name, 0.0 if not run.label else None)
            if run.name not in scores and run.label:
                return None
            folder = study / "finished" / run.name
            folder.mkdir(parents=True, exist_ok=True)
            people = {"student": participant(score, steps, 0.9), "teacher": participant(0.6, 8)}
            summary = {
                "seconds": 60.0 if run.label else 120.0,
                "stopped": None,
                "participants": people,
                "metric": "miou",
            }
            (folder / "summary.json").write_text(json.dumps(summary))
            return folder

        monkeypatch.setattr("kdseg.engine.study.planned.PlannedRun.finished", finished)
        return make_table(file, rows, failures or {})

    return table


def test_it_has_means_spreads_paired_differences_and_costs(table):
    found = table()
    alone, offline = found["rows"]
    assert alone["estimate"]["mean"] == pytest.approx(0.45)
    assert alone["difference"] is None
    assert offline["difference"]["mean"] == pytest.approx(0.04)
    assert (offline["difference"]["paired"], offline["difference"]["n"]) == (True, 2)
    assert offline["difference"]["low"] < 0 < offline["difference"]["high"]
    assert (offline["steps"], offline["steps_before"]) == ({"student": 4}, {"teacher.toml: teacher": 8})
    assert (offline["seconds"], offline["seconds_before"]) == (60.0, 120.0)
    head, first, second = text_rows(found)
    assert len(head) == len(first) == len(second) == 9
    assert first[1:4] == ("2 of 2", "0.4500 ± 0.0707", "baseline")
    assert second[3].startswith("+0.0400 [-0.087")
    assert second[-1] == "1.0 + 2.0"
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_it_says_what_teachers_were(table):
    assert any("trained once a seed" in note for note in table()["notes"])
    shared = table(SCORES, ("[3, 5]", '[3, 5]\nteachers = "shared"'))
    assert any("one teacher, trained before, served all seeds" in note for note in shared["notes"])


def test_it_says_what_is_missing_and_why(table):
    found = table({"alone-seed3": 0.5, "offline-seed3": 0.53}, failures={"offline-seed5": "boom\nended with status 2"})
    assert [row["missing"] for row in found["rows"]] == [
        [{"seed": 5, "why": "not run yet"}],
        [{"seed": 5, "why": "boom\nended with status 2"}],
    ]
    assert "missing: offline, seed 5: ended with status 2" in text_notes(found)
    assert text_rows(found)[2][1:4] == ("1 of 2", "0.5300 ± –", "+0.0300 (one pair)")


def test_pairs_that_differ_alike_are_told_as_such(table):
    found = table({"alone-seed3": 0.5, "alone-seed5": 0.4, "offline-seed3": 0.53, "offline-seed5": 0.43})
    assert text_rows(found)[2][3:5] == ("+0.0300 (no spread)", "–")
    assert draw_table(found).dtype == np.uint8


def test_it_says_where_a_run_stopped_early(table):
    assert "alone, seed 3: student took 3 steps of 4 (None)" in table(steps=3)["notes"]


def test_the_best_evaluation_is_taken_where_asked_and_told(table):
    found = table(SCORES, ("[3, 5]", '[3, 5]\nwhich = "best"'))
    assert found["rows"][0]["estimate"]["mean"] == pytest.approx(0.9)
    assert any("chosen on the images that judge" in note for note in found["notes"])


def test_nothing_yet_is_a_table_too(table):
    found = table({})
    assert [row["estimate"] for row in found["rows"]] == [None, None]
    assert text_rows(found)[1][2:4] == ("–", "baseline")
    assert draw_table(found).dtype == np.uint8


def test_the_page_has_a_line_a_row_and_the_picture(table):
    lines = markdown(table()).splitlines()
    assert [line.count("|") for line in lines if line.startswith("|")] == [10] * 4
    assert "![](comparison.png)" in lines


def test_the_picture_has_a_dot_for_each_seed_and_bars(table):
    picture = draw_table(table())
    assert picture.shape[2] == 3
    dots = (np.abs(picture.astype(int) - (120, 160, 205)).sum(2) < 30).astype(np.uint8)
    bars = np.abs(picture.astype(int) - (180, 60, 40)).sum(2) < 30
    cv2 = pytest.importorskip("cv2")
    assert cv2.connectedComponents(dots)[0] - 1 == 6  # two arms with two seeds, and two differences
    assert bars.sum() > 200
    assert draw_table(table({**SCORES, "alone-seed5": 0.5, "offline-seed5": 0.53})).shape == picture.shape
