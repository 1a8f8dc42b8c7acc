"""The page of a run: its numbers are those of the run's files, and names are text, whatever they say."""

from __future__ import annotations

import itertools
import json
import re

import pytest

ALERT = '<script>alert("x")</script>'


def rows(page, first):
    return {row[0]: row[1:] for row in page.table(first)[1:]}


def test_the_top_says_what_came_of_it(made, report):
    page = report(made())
    assert page.find("title")[0].text == "job · kdseg report"
    assert page.find("h1")[0].text == "job"
    assert page.find("span", class_="chip")[0].text == "finished"
    assert page.find("p", class_="lead")[0].text == (
        "Here, student learned from the labels and teacher; teacher learned from the labels; in turns by step: teach, "
        "study, study."
    )
    assert [line.text for line in page.find("li") if "mIoU" in line.text] == [
        "student 0.3625 mIoU, 0.0500 below teacher (0.4125)",
        "teacher 0.4125 mIoU",
    ]
    facts = dict(zip((one.text for one in page.find("dt")), (one.text for one in page.find("dd")), strict=True))
    assert facts["Steps"] == "30"
    assert facts["Time"] == "1 min 15 s"
    assert facts["Seed"] == "3"
    assert facts["Batch"] == "4"
    assert facts["torch"] == "2.13.0"
    assert float(facts["Images a second"]) == pytest.approx(4 / ((9 * 0.2 + 20 * 0.1) / 29), rel=1e-3)


def test_participants_have_their_best_and_last_scores(made, report):
    assert rows(report(made()), "participant") == {
        "teacher": ["0.4125 step 30", "0.4125", "70.000 M", "10", "kdseg/unet70m", "the labels"],
        "student": ["0.3625 step 20", "0.3500", "1.094 M", "20", "kdseg/unet1m", "the labels and teacher"],
    }


def test_classes_are_sorted_with_the_student_first(made, report):
    table = report(made()).table("class")
    assert table == [
        ["class", "student best, step 20", "student last", "teacher best, step 30", "teacher last"],
        ["road", "0.4125", "0.4000", "0.4625", "0.4625"],
        ["sky", "0.3125", "0.3000", "0.3625", "0.3625"],
        ["tram", "absent", "absent", "absent", "absent"],
    ]


def test_curves_tell_their_content_in_words(made, report):
    charts = {chart.attrs["aria-label"].partition(".")[0]: chart for chart in report(made()).find("svg", role="img")}
    assert list(charts) == [
        "mIoU",
        "pixel accuracy",
        "Loss of teacher by term",
        "Loss of student by term",
        "Weight by term",
        "Learning rate by participant",
        "Gradient norm by term",
        "Cosine between two terms",
        "throughput/images",
        "Seconds",
    ]
    assert (
        "student: 0.2 at step 10, 0.35 at step 30; lowest 0.2 at step 10, highest 0.3625 at step 20"
        in (charts["mIoU"].attrs["aria-label"])
    )
    assert "mimic: 1 at step 2" in charts["Loss of student by term"].attrs["aria-label"]
    assert "labels+mimic: -0.25 at step 2" in charts["Cosine between two terms"].attrs["aria-label"]


def test_points_stand_where_their_values_are(made, report):
    (chart,) = [chart for chart in report(made()).find("svg", role="img") if chart.attrs["aria-label"][:4] == "mIoU"]
    page = report(made("other/20260101-000000"))
    marks = [
        (float(one.attrs["cx"]), float(one.attrs["cy"]))
        for one in page.elements[page.elements.index(next(e for e in page.elements if e.attrs == chart.attrs)) :]
        if one.tag == "circle"
    ][3:6]  # the student's
    values, steps = (0.2, 0.3625, 0.35), (10, 20, 30)
    scale = (marks[0][1] - marks[1][1]) / (values[1] - values[0])
    assert [mark[0] for mark in marks] == pytest.approx([74 + 556 * step / 30 for step in steps], abs=0.1)
    assert marks[2][1] == pytest.approx(marks[0][1] - scale * (values[2] - values[0]), abs=0.2)


def test_timing_leaves_the_first_step_out(made, report):
    page = report(made())
    told = "The first step took 0.5 s. Evaluations and checkpoints are not in them."
    assert told in [one.text for one in page.find("p")]
    assert rows(page, "steps") == {
        "all steps after the first": ["29", "0.131", "30.53", "15 %"],
        "turn study": ["20", "0.1", "40", "20 %"],
        "turn teach": ["9", "0.2", "20", "10 %"],
    }


def test_steps_of_an_older_kdseg_do_not_say_how_long_they_waited(made, report):
    page = report(made())
    lines = [json.loads(line) for line in (made("old/20260101-000000") / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("data_seconds", None)
    assert {row[-1] for row in rows(report(made("older/20260101-000000", lines=lines)), "steps").values()} == {"–"}
    assert "–" not in {row[-1] for row in rows(page, "steps").values()}


def test_turns_are_shaded_where_they_last_and_shared_where_not(made, report):
    page = report(made())
    assert page.find("g", id="turns")[0].attrs["class"] == "shades"  # 20 stretches
    assert "teach 33 % of the steps" in page.find("p", class_="turns")[0].text
    long = made("long/20260101-000000", lines=[json.loads(json.dumps(line)) for line in steps_of_turns(300)])
    assert report(long).find("g", id="turns")[0].attrs["class"] == "shares"


def steps_of_turns(count):
    return [
        {"kind": "step", "step": step, "turn": ("teach", "study", "study")[step % 3], "seconds": 0.1, "loss/mimic": 1.0}
        for step in range(1, count + 1)
    ]


def test_a_run_without_turns_shades_nothing(made, report):
    lines = [line | {"turn": "all"} for line in steps_of_turns(10)]
    assert not report(made(lines=lines)).find("g", id="turns")


def test_confusions_are_told_and_shown(made, confused, report):
    folder = made()
    confused(folder, "student")
    page = report(folder)
    assert [line.text for line in page.find("ol", class_="said")] == [
        "sky taken for road: 30 % of sky, 30 pixels road taken for sky: 10 % of road, 10 pixels"
    ]
    assert page.table("true") == [
        ["true", "road", "sky", "tram"],
        ["road", "90", "10", ""],
        ["sky", "30", "70", ""],
        ["tram", "no pixel of it"],
    ]


def test_a_hundred_and_fifty_classes_fit_a_page(made, confused, report):
    folder, names = made(), [f"class{number}" for number in range(150)]
    matrix = [[(150 - row) * (10 if row == column else 1) for column in range(150)] for row in range(150)]
    confused(folder, "student", names, matrix)
    table = report(folder).table("true")
    assert [len(row) for row in table] == [26] * 26
    assert table[0][-1] == "126 others"
    others = [(150 - row) * (126 + 9 - 0) for row in range(24, 150)]
    total = sum((150 - row) * (150 + 9) for row in range(24, 150))
    assert table[-1][-1] == f"{100 * sum(others) / total:.0f}"


@pytest.mark.parametrize(
    "damaged", ["", "{", "[1]", '{"step": 1, "split": "val", "classes": ["a"], "matrix": [[1, 2]]}']
)
def test_a_damaged_matrix_is_left_out(made, report, damaged):
    folder = made()
    (folder / "confusion").mkdir()
    (folder / "confusion" / "student.json").write_text(damaged)
    assert not report(folder).find("table", class_="matrix")


def test_what_goes_wrong_stands_at_the_top(made, report):
    folder = made(summed={"steps": 30, "seconds": 1.0, "participants": {}, "dropped_callbacks": {"sheets": "it broke"}})
    (folder / "log.txt").write_text(
        "2026-01-01 00:00:00,123 INFO it begins\n2026-01-01 00:00:01,123 WARNING few images\nof them all\n"
        "2026-01-01 00:00:02,123 ERROR callbacks.sheets: it broke; the run goes on without it\n"
    )
    lines = [line.text for line in report(folder).find("li")]
    assert len([line for line in lines if "it broke" in line]) == 1
    assert "The callback sheets was dropped: it broke" in lines
    assert "few images of them all warning, 2026-01-01 00:00:01" in lines


def test_an_early_stop_is_told(made, report):
    folder = made(summed={"steps": 30, "seconds": 1.0, "participants": {}, "stopped": "no rise"})
    assert report(folder).find("p", class_="state")[0].text == "stopped stopped early: no rise"


def test_terms_at_further_heads_belong_to_their_participants(made, report):
    changed = {
        "terms": {
            "labels": {"learner": "student.branch2", "source": [], "turn": ["study"]},
            "mimic": {"learner": "student", "source": ["teacher.ensemble", "student.branch2"], "turn": ["study"]},
        }
    }
    page = report(made(changed=changed))
    assert rows(page, "participant")["student"][-1] == "the labels, teacher and itself"
    assert "student 0.3625 mIoU, 0.0500 below teacher (0.4125)" in [line.text for line in page.find("li")]
    (chart,) = [one for one in page.find("svg", role="img") if "Loss of student" in one.attrs["aria-label"]]
    assert "labels: 1.98 at step 2" in chart.attrs["aria-label"]
    assert "mimic: 1 at step 2" in chart.attrs["aria-label"]


def test_values_that_were_no_numbers_are_counted(made, report):
    lines = [*steps_of_turns(3), {"kind": "step", "step": 4, "turn": "study", "loss/mimic": None}]
    assert "loss/mimic was no number 1 times" in [line.text for line in report(made(lines=lines)).find("li")]


def test_the_recipe_stands_there_word_by_word(made, report):
    folder = made()
    (found,) = report(folder).find("pre", class_="recipe")
    assert "".join(found.texts) == (folder / "recipe.toml").read_text(encoding="utf-8")


def hostile(text):
    """Put a text wherever a recipe, a dataset, a callback or the machine may."""
    lines = [
        {"kind": "step", "step": 1, "turn": text, "seconds": 0.1, f"loss/{text}": 1.0, f"gate/{text}": 2.0},
        {"kind": "step", "step": 2, "turn": "other", "seconds": 0.1, f"weight/{text}": 1.0},
        {"kind": "callback", "step": 2, text: 1.0},
        {"kind": "evaluation", "step": 2, f"val/{text}/miou": 0.5, f"val/{text}/iou": {text: 0.5, "other": None}},
    ]
    recipe = {
        "name": text,
        "models": {text: {"backbone": {"use": text}}},
        "terms": {text: {"learner": text, "source": [text], "turn": [text]}},
        "callbacks": {text: {"use": "gallery"}},
    }
    summed = {
        "name": text,
        "steps": 2,
        "seconds": 1.0,
        "stopped": text,
        "metric": "miou",
        "participants": {text: {"backbone": text, "parameters": 3, "steps": 2}},
        "dropped_callbacks": {text: text},
    }
    return {"lines": lines, "recipe": recipe, "summed": summed}


@pytest.mark.parametrize(
    "text", [ALERT, '"><img src=x onerror=alert(1)>', "' onload='x", "</style></title>", "{{ 7*7 }}"]
)
def test_what_anybody_says_is_text(made, confused, pictured, report, tmp_path, text):
    folder = made(**hostile(text))
    if "/" not in text:
        confused(folder, text, [text, "b"], [[1, 2], [3, 4]])
        pictured(folder, f"{text}-00000001.png")
    pictured(folder, "other-00000002.png")
    (folder / "pictures" / "other.json").write_text(json.dumps({"title": text, "caption": text}))
    (folder / "environment.json").write_text(json.dumps({text: text, "hardware": {text: [text]}}))
    (folder / "log.txt").write_text(f"2026-01-01 00:00:00,123 WARNING {text}\n")
    page = report(folder)
    assert not page.find("script")
    assert len(page.find("img")) == (2 if "/" not in text else 1)
    assert not [name for element in page.elements for name in element.attrs if name.startswith("on")]
    assert page.find("h1")[0].text == text
    assert "49" not in page.find("h1")[0].text
    other = made("other/20260101-000000", **hostile(text + "2"))
    assert not report(folder, other).find("script")
    assert report(folder, error=text).find("section", class_="bad")[0].text.endswith(text)


def test_the_page_can_be_used_without_eyes_or_mouse(made, confused, pictured, report):
    folder = made()
    confused(folder, "student")
    pictured(folder, "comparison.png")
    pictured(folder, "sheets-00000010.png")
    for page in (report(folder), report(folder, made("other/20260101-000000"))):
        ids = [element.attrs["id"] for element in page.elements if "id" in element.attrs]
        assert len(ids) == len(set(ids))
        assert page.find("html")[0].attrs["lang"] == "en"
        assert len(page.find("main")) == len(page.find("header")) == len(page.find("footer")) == 1
        for link in page.find("a"):
            assert link.attrs["href"].removeprefix("#") in ids
        assert page.find("a")[0].text == "Skip to the content"
        for section in page.find("section"):
            assert section.attrs["aria-labelledby"] in ids
        levels = [int(element.tag[1]) for element in page.elements if re.fullmatch("h[1-6]", element.tag)]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        assert all(head.attrs["scope"] in ("row", "col") for head in page.find("th"))
        assert all(len(image.attrs["alt"]) > 20 for image in page.find("img"))
        drawings, boxes = page.find("svg"), page.find("div", class_="scroll")
        assert all(one.attrs.get("aria-label") or one.attrs.get("aria-hidden") == "true" for one in drawings)
        assert all(one.attrs["tabindex"] == "0" and one.attrs["aria-label"] for one in boxes)


def test_nothing_is_fetched(made, pictured, report, tmp_path):
    folder = made()
    pictured(folder, "comparison.png", 700, 500)
    page = report(folder)
    for element in page.elements:
        for name in ("src", "href"):
            assert element.attrs.get(name, "#").startswith(("#", "data:"))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    (policy,) = [one.attrs["content"] for one in page.find("meta") if "http-equiv" in one.attrs]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert "@import" not in text
    assert "url(" not in text


def test_numbers_that_have_no_chart_any_more_are_counted(made, report):
    page = report(made(lines=[{"kind": "callback", "step": 1} | {f"x{number}": 1.0 for number in range(30)}]))
    assert len(page.find("svg", role="img")) == 24
    assert "And 6 more, which metrics.jsonl has." in [one.text for one in page.find("p")]


def test_what_a_callback_writes_of_each_participant_is_one_chart(made, report):
    values = {"norms/teacher": 1.0, "norms/student": 2.0, "norms/other": 3.0}
    page = report(made(lines=[{"kind": "callback", "step": 1} | values]))
    told = [chart.attrs["aria-label"] for chart in page.find("svg", role="img")]
    assert told == [
        "norms by participant. teacher: 1 at step 1. student: 2 at step 1. ",
        "norms/other. norms/other: 3 at step 1. ",
    ]
