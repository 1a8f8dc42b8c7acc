"""Several runs: which belong together, and differences as they are worked out by hand."""

from __future__ import annotations

import json
import math

import pytest

from kdseg.engine.report.comparison import compare
from kdseg.engine.report.comparison_text import score_rows
from kdseg.engine.report.groups import group_runs
from kdseg.engine.report.named import named_runs
from kdseg.engine.report.reading import read_run
from kdseg.errors import KdsegError

T_2 = 4.302652729749464
"""The 97.5 % point of Student's t with two degrees of freedom, in closed form: 0.95 · √(2 / (1 - 0.95²))."""


@pytest.fixture
def runs(made):
    """Make runs of an arm: by seed, the last scores of teacher and student."""

    def runs(arm, rate, scores):
        return [
            made(
                f"{arm}-seed{seed}/20260101-00000{seed}",
                lines=[],
                scores=found,
                changed={"name": f"{arm}-seed{seed}", "seed": seed, "train": {"batch_size": 4, "rate": rate}},
            )
            for seed, found in scores.items()
        ]

    return runs


def held(comparison, participant="student", which="best", metric="miou"):
    (found,) = [
        one.held
        for one in comparison.scores
        if (one.participant, one.which, one.metric) == (participant, which, metric)
    ]
    return found


def test_the_closed_form_is_the_value():
    assert math.isclose(0.95 * math.sqrt(2 / (1 - 0.95**2)), T_2)


def test_differences_are_of_pairs_with_the_interval_of_t(runs):
    first = runs("alone", 1, {0: (0.5, 0.30), 1: (0.5, 0.40), 2: (0.5, 0.50)})
    second = runs("taught", 2, {2: (0.5, 0.56), 0: (0.5, 0.34), 1: (0.5, 0.45)})
    comparison = compare([read_run(run) for run in (*first, *second)])
    assert [group.label for group in comparison.groups] == ["alone", "taught"]
    alone, taught = held(comparison)
    assert alone.difference is None
    assert alone.estimate.mean == pytest.approx(0.4)
    assert alone.estimate.sd == pytest.approx(0.1)
    # The pairs differ by 0.04, 0.05 and 0.06: mean 0.05, sd 0.01.
    half = T_2 * 0.01 / math.sqrt(3)
    assert taught.difference.mean == pytest.approx(0.05)
    assert taught.difference.low == pytest.approx(0.05 - half)
    assert taught.difference.high == pytest.approx(0.05 + half)
    assert taught.sure == "3 seeds, paired"


def test_one_run_each_has_a_difference_and_no_interval(runs):
    (first,), (second,) = runs("alone", 1, {0: (0.5, 0.3)}), runs("taught", 2, {0: (0.5, 0.2)})
    _, found = held(compare([read_run(first), read_run(second)]))
    assert found.difference.mean == pytest.approx(-0.1)
    assert (found.difference.low, found.sure) == (None, "one run each: no interval")


def test_other_seeds_are_no_pairs(runs):
    first, second = runs("alone", 1, {0: (0.5, 0.3)}), runs("taught", 2, {1: (0.5, 0.2), 2: (0.5, 0.4)})
    _, found = held(compare([read_run(run) for run in (*first, *second)]))
    assert found.difference.mean == pytest.approx(0.0)
    assert (found.difference.paired, found.difference.low) == (False, None)
    assert found.sure == "one run of one of them: no interval"


def test_two_means_without_pairs_are_held_by_welch(runs):
    first = runs("alone", 1, {0: (0.5, 0.30), 1: (0.5, 0.32)})
    second = runs("taught", 2, {2: (0.5, 0.40), 3: (0.5, 0.42)})
    _, found = held(compare([read_run(run) for run in (*first, *second)]))
    # Equal variances of 0.0002 and two values each: df = 2, standard error = sqrt(0.0002 / 2 + 0.0002 / 2).
    assert found.difference.low == pytest.approx(0.1 - T_2 * math.sqrt(0.0002))
    assert found.sure == "unpaired: the seeds differ"


def test_seeds_that_differ_alike_show_no_difference(runs, report):
    first = runs("alone", 1, {0: (0.5, 0.30), 1: (0.5, 0.40)})
    second = runs("taught", 2, {0: (0.5, 0.35), 1: (0.5, 0.45)})
    others = runs("other", 3, {2: (0.5, 0.35), 3: (0.5, 0.35)})
    _, paired, _ = held(comparison := compare([read_run(run) for run in (*first, *second, *others)]))
    assert paired.sure == "2 seeds, paired; no spread, so no interval"
    *_, unpaired = held(comparison, "teacher")
    assert unpaired.sure == "unpaired: the seeds differ; no spread, so no interval"
    told = [line.text for line in report(*first, *second).find("li")]
    assert "student of taught: 0.4000 mIoU, +0.0500 to alone (2 seeds, paired; no spread, so no interval)" in told


def test_the_best_of_each_run_is_compared_whatever_came_last(made):
    lines = [
        {"kind": "evaluation", "step": step, "val/student/miou": value}
        for step, value in ((1, 0.2), (2, 0.6), (3, 0.4))
    ]
    comparison = compare([read_run(made(lines=lines)), read_run(made("b/20260101-000000"))])
    assert held(comparison)[0].scores == {3: 0.6}
    assert held(comparison, which="last")[0].scores == {3: 0.4}


def test_a_teacher_of_another_run_is_no_other_recipe_unless_the_seed_is_the_same(made):
    def taught(name, seed, run):
        models = {"student": {"backbone": "x"}, "teacher": {"frozen": True, "weights": {"run": run, "sha256": run}}}
        return read_run(made(f"{name}/20260101-000000", changed={"seed": seed, "models": models}))

    one, two, three = taught("a", 1, "r1"), taught("b", 2, "r2"), taught("c", 1, "r3")
    assert [group.seeds for group in group_runs([one, two])] == [[1, 2]]
    assert [group.seeds for group in group_runs([one, two, three])] == [[1], [2], [1]]


def test_a_run_that_was_made_twice_is_no_second_seed(made):
    twice = [read_run(made(f"job/2026010{day}-000000")) for day in (1, 2)]
    assert [group.label for group in group_runs(twice)] == ["job", "job (2)"]


def test_what_differs_in_the_recipes_is_listed(made):
    models = {"student": {"backbone": {"use": "kdseg/unet1m", "base": 8}}}
    first = read_run(made(changed={"models": models, "extra": 1}))
    models["student"]["backbone"]["base"] = 12
    own = {"seed": 9, "name": "b", "output": {"folder": "x"}}
    second = read_run(made("b/20260101-000000", changed={"models": models, **own}))
    assert dict(compare([first, second]).recipes) == {"models.student.backbone.base": ["8", "12"], "extra": ["1", None]}


def test_the_page_shows_the_numbers_of_the_comparison(runs, report):
    first = runs("alone", 1, {0: (0.5, 0.30), 1: (0.5, 0.40), 2: (0.5, 0.50)})
    second = runs("taught", 2, {0: (0.5, 0.34), 1: (0.5, 0.45), 2: (0.5, 0.56)})
    page = report(*first, *second)
    rows = {row[0]: row[1:] for row in page.table("score")}
    assert rows["score"] == ["alone 3 seeds", "taught 3 seeds"]
    assert rows["student best mIoU"] == ["0.4000 ± 0.1000", "0.4500 ± 0.1100 +0.0500 [+0.0252, +0.0748]"]
    assert rows["teacher best mIoU"] == ["0.5000 ± 0.0000", "0.5000 ± 0.0000 +0.0000"]
    told = "student of taught: 0.4500 mIoU, +0.0500 to alone [+0.0252, +0.0748] (3 seeds, paired): better, and shown so"
    assert told in [line.text for line in page.find("li")]
    assert page.table("key")[1:] == [["train.rate", "1", "2"]]
    classes = next(table for table in page.tables() if table[0][0] == "class")  # the student's first
    assert classes[1] == ["road", "0.4500 ± 0.1000", "0.5000 ± 0.1100 +0.0500 [+0.0252, +0.0748]"]


def test_runs_that_have_nothing_in_common_are_shown_side_by_side(made, report):
    lines = [{"kind": "evaluation", "step": 3, "val/solo/miou": 0.5}]
    other = made("b/20260101-000000", recipe={"name": "b", "models": {"solo": {}}}, lines=lines, summed=None)
    rows = {row[0]: row[1:] for row in report(made(), other).table("score")}
    assert rows["solo best mIoU"] == ["–", "0.5000"]
    told = score_rows(compare([read_run(run) for run in (made("c/20260101-000000"), other)]))
    assert ("", "", "b", "1", "0.5000", "–", "nothing to compare with") in told


def test_runs_that_are_not_finished_are_left_out_and_told(runs, report):
    first = runs("alone", 1, {1: (0.5, 0.50), 2: (0.5, 0.52)})
    second = runs("taught", 2, {1: (0.5, 0.53), 2: (0.5, 0.57), 3: (0.5, 0.10)})
    (second[2] / "summary.json").unlink()
    comparison = compare([read_run(run) for run in (*first, *second)])
    for which in ("best", "last"):
        assert held(comparison, which=which)[1].scores == {1: 0.53, 2: 0.57}
    assert comparison.classes["student"]["road"][1].scores.keys() == {1, 2}
    told = "taught: 1 of 3 runs not finished, left out"
    assert comparison.data()["notes"] == [told]
    assert [run["counted"] for run in comparison.data()["groups"][1]["runs"]] == [True, True, False]
    page = report(*first, *second)
    assert told in [line.text for line in page.find("li")]
    assert page.table("score")[0][-1] == "taught 2 seeds, 1 not finished, left out"


def test_where_no_run_is_finished_all_count_and_that_is_told(runs):
    first, second = runs("alone", 1, {1: (0.5, 0.5)}), runs("taught", 2, {1: (0.5, 0.3)})
    (second[0] / "summary.json").unlink()
    comparison = compare([read_run(run) for run in (*first, *second)])
    assert held(comparison)[1].scores == {1: 0.3}
    assert comparison.notes == ("taught: not finished; its scores are those so far",)


@pytest.mark.parametrize(
    ("changed", "told", "sure"),
    [
        ({"data": {"dataset": {"use": "a", "size": [2, 4]}}}, "data.dataset.size", "one by one; their images differ"),
        (
            {"data": {"dataset": {"use": "a"}, "val": {"images": 3}}},
            "data.val.images",
            "one by one; their images differ",
        ),
        ({"data": {"dataset": {"use": "a"}, "augment": []}}, None, "one by one; their images differ"),
        ({"data": {"dataset": {"use": "a"}, "store": "disk"}}, None, "paired"),
        ({"train": {"batch_size": 8}}, None, "one by one; their images differ"),
        ({"train": {"batch_size": 4, "rate": 2}}, None, "paired"),
        ({"evaluate": {"metric": "miou", "flip": True}}, "evaluate.flip", "paired"),
        ({"evaluate": {"metric": "miou", "scales": [1, 2]}}, "evaluate.scales", "paired"),
    ],
)
def test_runs_that_saw_or_were_judged_on_something_else_are_told(made, report, changed, told, sure):
    data = {"dataset": {"use": "a"}}
    runs = [
        made(f"{name}/20260101-00000{seed}", changed={"name": name, "data": data, "seed": seed} | more)
        for name, more in (("one", {}), ("other", changed))
        for seed in (1, 2)
    ]
    comparison = compare([read_run(run) for run in runs])
    assert held(comparison)[1].sure.startswith(f"2 seeds, {sure}")
    wanted = () if told is None else (f"other and one were judged otherwise: {told} differ",)
    assert comparison.notes == wanted
    assert {*wanted} <= {line.text for line in report(*runs).find("li")}


def test_other_classes_are_told(made):
    def of(name, labels):
        score = {
            "kind": "evaluation",
            "step": 1,
            "val/student/miou": 0.5,
            "val/student/iou": dict.fromkeys(labels, 0.5),
        }
        return read_run(made(f"{name}/20260101-000000", lines=[score], changed={"name": name, "rate": name}))

    notes = compare([of("one", "ab"), of("same", "ab"), of("other", "abcdefg")]).notes
    assert notes == ("other has other classes (a, b, c, d and 3 more) than one (a and b)",)


def test_what_a_page_of_many_runs_does_not_show_is_told(made, report):
    many = [
        made(f"arm{number}/20260101-000000", changed={"name": f"arm{number}", "rate": number}) for number in range(27)
    ]
    page = report(*many)
    assert [one.text for one in page.find("p")].count("And 3 more runs, which are not drawn.") == 2
    assert "and 40 more: see the scores" in [one.text for one in page.find("li")]


def test_a_sweep_stands_for_the_runs_of_its_arms_the_baseline_first(runs, tmp_path):
    (tmp_path / "study").mkdir()
    found = runs("study/runs/taught", 2, {0: (0.5, 0.3)})
    found += runs("study/runs/alone", 1, {0: (0.5, 0.3), 1: (0.5, 0.4)})
    runs("study/runs/teacher", 1, {0: (0.5, 0.3)})
    rows = [("taught-seed0", "taught"), ("alone-seed0", "alone"), ("alone-seed1", "alone"), ("teacher-seed0", None)]
    rows.append(("never-made", "alone"))
    (tmp_path / "study/sweep.json").write_text(json.dumps({"runs": [{"name": name, "row": row} for name, row in rows]}))
    (tmp_path / "study/table.json").write_text(json.dumps({"baseline": "alone"}))
    assert named_runs([tmp_path / "study"]) == [found[1], found[2], found[0]]


def test_the_runs_of_a_sweep_are_those_of_its_table_wherever_it_lies(made, tmp_path):
    counted, newer = (made(f"study/runs/alone-seed0/2026010{day}-000000") for day in (1, 2))
    told = {"name": "alone-seed0", "row": "alone", "folder": f"/where/it/was/made/alone-seed0/{counted.name}"}
    (tmp_path / "study/sweep.json").write_text(json.dumps({"runs": [told]}))
    assert named_runs([tmp_path / "study"]) == [counted]
    (counted / "recipe.toml").unlink()
    assert named_runs([tmp_path / "study"]) == [newer]


def test_a_folder_of_folders_stands_for_the_newest_run_of_each(made, tmp_path):
    made("runs/a/20260101-000000")
    newest = [made("runs/a/20260102-000000"), made("runs/b/20260101-000000")]
    (tmp_path / "runs/empty").mkdir()
    assert named_runs([tmp_path / "runs"]) == newest
    assert named_runs([tmp_path / "runs/b", newest[0], tmp_path / "runs/a"]) == newest[::-1]
    with pytest.raises(KdsegError, match="no run here"):
        named_runs([tmp_path / "runs/empty"])


def test_copies_of_one_plugin_file_are_one_recipe(made):
    def plugged(name, seed, content):
        folder = made(f"{name}/20260101-000000", changed={"seed": seed, "plugins": [f"/runs/{name}/plugins/mine.py"]})
        (folder / "environment.json").write_text(json.dumps({"plugin_files": {"mine.py": content * 64}}))
        return read_run(folder)

    runs = [plugged("a", 1, "a"), plugged("b", 2, "a"), plugged("c", 3, "c")]
    assert [group.seeds for group in group_runs(runs)] == [[1, 2], [3]]
    assert dict(compare(runs).recipes) == {"plugins": ['["mine.py aaaaaaaaaaaa"]', '["mine.py cccccccccccc"]']}
