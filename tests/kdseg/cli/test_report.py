"""`report` and `compare`: real runs, their numbers held against the files that they left."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from html_page import Page

from kdseg.testing import heavy_imports


def evaluations(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "evaluation"]


@pytest.fixture
def two(folder, finished):
    """Two finished runs side by side: the second of another recipe, whose student scores a tenth less."""
    first, second = folder / "first/20260101-000000", folder / "second/20260101-000000"
    shutil.copytree(finished / "latest", first)
    shutil.copytree(finished / "latest", second)
    recipe = (second / "recipe.toml").read_text()
    (second / "recipe.toml").write_text(
        recipe.replace('name = "job"', 'name = "other"').replace("lr = 0.001", "lr = 0.002")
    )
    lines = (second / "metrics.jsonl").read_text().splitlines()
    for number, line in enumerate(lines):
        values = json.loads(line)
        values |= {key: values[key] - 0.1 for key in values if key == "val/student/miou"}
        lines[number] = json.dumps(values)
    (second / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    return first, second


def test_report_of_one_run_lies_in_its_folder(kdseg, folder, finished):
    run = (finished / "latest").resolve()
    (run / "report.html").unlink()
    assert kdseg("report", str(finished)) == (0, f"{run}/report.html\n", "")
    page = Page((run / "report.html").read_text())
    found = evaluations(run)
    for row in page.table("participant")[1:]:
        best = max(found, key=lambda line: line[f"val/{row[0]}/miou"])
        assert row[1] == f"{best[f'val/{row[0]}/miou']:.4f} step {best['step']}"
        assert row[2] == f"{found[-1][f'val/{row[0]}/miou']:.4f}"
    for row in page.table("class")[1:]:
        assert row[2] == f"{found[-1]['val/student/iou'][row[0]]:.4f}"
    assert len(page.find("img")) == 1


def test_report_goes_where_it_is_told(kdseg, folder, finished):
    assert kdseg("report", str(finished), "--output", "pages/one.html") == (0, "pages/one.html\n", "")
    assert Page((folder / "pages/one.html").read_text()).find("h1")[0].text == "job"


def test_report_of_several_lies_in_the_working_folder(kdseg, folder, two):
    assert kdseg("report", "first", "second") == (0, "report.html\n", "")
    page = Page((folder / "report.html").read_text())
    assert page.find("h1")[0].text == "job and other"
    best = max(line["val/student/miou"] for line in evaluations(two[0]))
    row = next(row for row in page.table("score") if row[0] == "student best mIoU")
    assert row == ["student best mIoU", f"{best:.4f}", f"{best - 0.1:.4f} −0.1000"]


def test_a_place_that_cannot_be_written_is_told(kdseg, folder, finished):
    (folder / "file").write_text("")
    status, out, err = kdseg("report", str(finished), "-o", "file/page.html")
    assert (status, out) == (2, "")
    assert err == "file/page.html: File exists; give another place: --output FILE\n"


@pytest.mark.parametrize("verb", ["report", "compare"])
def test_a_folder_that_is_no_run_is_told(kdseg, folder, verb):
    status, out, err = kdseg(verb, "nothing", "neither")
    assert (status, out) == (2, "")
    assert err.startswith("nothing: no run here (no recipe.toml); ")


def test_compare_prints_scores_with_their_differences(kdseg, folder, two):
    status, out, err = kdseg("compare", "first", "second")
    assert (status, err) == (0, "")
    rows = [re.split(r"  +", line.strip()) for line in out.splitlines()]
    best = max(line["val/student/miou"] for line in evaluations(two[0]))
    place = rows.index(["student", "best mIoU", "job", "1", f"{best:.4f}", "the first"])
    assert rows[place + 1] == ["other", "1", f"{best - 0.1:.4f}", "−0.1000", "one run each: no interval"]
    assert rows[rows.index(["what differs in the recipes"]) + 1] == ["key", "job", "other"]
    differing = [row for row in rows if row[0].endswith("optimizer.lr")]
    assert differing
    assert all(row[1:] == ["0.001", "0.002"] for row in differing)
    assert ["other", "4", "finished", "6"] in [row[:4] for row in rows]


def test_compare_gives_the_same_as_data(kdseg, folder, two):
    found = json.loads(kdseg("compare", "first", "second", "--json").out)
    assert [group["label"] for group in found["groups"]] == ["job", "other"] == [found["baseline"], "other"]
    assert [run["folder"] for group in found["groups"] for run in group["runs"]] == [str(run) for run in two]
    (one,) = [one for one in found["scores"] if (one["participant"], one["which"]) == ("student", "best")]
    best = max(line["val/student/miou"] for line in evaluations(two[0]))
    assert [group["scores"] for group in one["groups"]] == [{"4": best}, {"4": pytest.approx(best - 0.1)}]
    assert one["groups"][0]["difference"] is None
    assert one["groups"][1]["difference"]["mean"] == pytest.approx(-0.1)
    assert one["groups"][1]["difference"]["low"] is None
    last = evaluations(two[0])[-1]["val/student/iou"]
    assert {name: groups[0]["estimate"]["mean"] for name, groups in found["classes"]["student"].items()} == last
    assert set(next(iter(found["recipes"].values()))) == {"0.001", "0.002"}


def test_compare_takes_a_folder_of_runs(kdseg, folder, two):
    assert kdseg("compare", ".").out == kdseg("compare", "first", "second").out


def test_one_run_is_nothing_to_compare(kdseg, folder, two):
    status, out, err = kdseg("compare", "first", "first/20260101-000000")
    assert (status, out) == (2, "")
    assert err == (
        "first/20260101-000000: there is but one run to compare; name others, or `kdseg report` tells of it\n"
    )


def test_a_run_of_which_one_line_is_damaged_is_compared_and_told(kdseg, folder, two):
    with (two[1] / "metrics.jsonl").open("a") as file:
        file.write("{\n")
    out = kdseg("compare", "first", "second").out
    assert out.splitlines()[-1] == "second/20260101-000000: metrics.jsonl: 1 lines are damaged and left out"


def test_a_run_that_is_not_finished_is_told_at_the_end(kdseg, folder, two):
    (two[1] / "summary.json").unlink()
    told = "other: not finished; its scores are those so far"
    assert kdseg("compare", "first", "second").out.splitlines()[-1] == told
    assert json.loads(kdseg("compare", "first", "second", "--json").out)["notes"] == [told]


def test_help_and_comparisons_load_nothing_heavy(two):
    words = ["compare", *map(str, two)]
    assert heavy_imports(f"from kdseg.cli import main; main({words!r})") == []
    assert heavy_imports("from kdseg.cli import main; main(['report', '--help'])") == []
    pages = (
        f"from kdseg.cli import main; main(['report', {str(two[0])!r}, {str(two[1])!r}, '-o', {str(Path('x.html'))!r}])"
    )
    assert heavy_imports(pages, folder=two[0]) == ["jinja2"]
