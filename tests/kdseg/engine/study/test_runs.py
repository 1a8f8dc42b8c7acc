"""Which runs a sweep has, and what must hold before they are made."""

from __future__ import annotations

import pytest

from kdseg.engine.folders.run_folder import recipe_digest
from kdseg.engine.study.checks import check_sweep
from kdseg.engine.study.planned import in_order
from kdseg.engine.study.runs import plan_sweep
from kdseg.engine.study.search import first_points
from kdseg.errors import KdsegError
from kdseg.recipe.load import load_recipe


def refusal(file):
    with pytest.raises(KdsegError) as caught:
        check_sweep(file, plan_sweep(file))
    return str(caught.value)


def names(runs):
    return [run.name for run in runs]


def test_each_arm_has_a_run_for_each_seed(sweep):
    alone, offline = plan_sweep(sweep())
    assert names(alone.runs) == ["alone-seed3", "alone-seed5"]
    assert names(offline.runs) == ["offline-seed3", "offline-seed5"]
    for run in (*alone.runs, *offline.runs):
        recipe = run.loaded.recipe
        assert (recipe.seed, recipe.name, recipe.train.steps) == (run.seed, run.name, 4)
        assert recipe.output.folder.parts[-4:] == ("runs", "sweeps", "study", "runs")


def test_a_grid_gives_every_combination_in_every_arm(sweep):
    file = sweep(more='[sweep.grid]\n"train.batch_size" = [2, 4]\n"terms.labels.weight" = [1.0, 0.5]\n')
    variants = plan_sweep(file)
    assert [variant.label for variant in variants[:4]] == [
        "alone batch_size=2 weight=1.0",
        "alone batch_size=2 weight=0.5",
        "alone batch_size=4 weight=1.0",
        "alone batch_size=4 weight=0.5",
    ]
    assert len({run.name for variant in variants for run in variant.runs}) == 16
    recipe = variants[1].runs[0].loaded.recipe
    assert (recipe.train.batch_size, recipe.terms["labels"].weight) == (2, 0.5)


def test_a_recipe_that_is_written_is_read_as_the_same(sweep):
    for variant in plan_sweep(sweep()):
        for run in in_order(variant.runs):
            run.write()
            found = load_recipe(run.file, [word for word in run.words() if word.startswith("output.folder=")])
            assert recipe_digest(found) == recipe_digest(run.places[0])


def test_teachers_are_paired_by_seed_and_come_before_those_that_need_them(sweep):
    _, offline = plan_sweep(sweep())
    ordered = in_order(offline.runs)
    assert [name.rpartition("-")[0] for name in names(ordered)] == [
        "teacher-seed3",
        "offline",
        "teacher-seed5",
        "offline",
    ]
    assert [run.loaded.recipe.seed for run in ordered] == [3, 3, 5, 5]
    assert [run.loaded.recipe.models["teacher"].weights.recipe for run in offline.runs] == [
        teacher.file for run in offline.runs for teacher in run.needs
    ]


def test_a_shared_teacher_is_that_of_its_recipe(sweep, study):
    _, offline = plan_sweep(sweep(("[3, 5]", '[3, 5]\nteachers = "shared"')))
    teacher, *students = in_order(offline.runs)
    assert teacher.file == study / "teacher.toml"
    assert names(students) == names(offline.runs)
    assert [run.needs[0].file for run in students] == [teacher.file] * 2


def test_another_state_of_a_teachers_recipe_is_another_teacher(sweep, study):
    _, before = plan_sweep(sweep())
    text = (study / "teacher.toml").read_text()
    (study / "teacher.toml").write_text(text.replace("width = 6 }", "width = 6 }\nclip = 1.0"))
    _, after = plan_sweep(sweep())
    assert before.runs[0].needs[0].file != after.runs[0].needs[0].file
    assert recipe_digest(before.runs[0].loaded) != recipe_digest(after.runs[0].loaded)


def test_what_a_change_breaks_is_told_where_it_is_written(sweep):
    told = refusal(
        sweep(("steps = 4", "stesp = 4"), ('"alone.toml"', '"alone.toml"\nset = { models.student.backbone.witdh = 3 }'))
    )
    assert told.splitlines() == [
        "sweep.toml:5: train.stesp: unknown key; did you mean 'steps'?",
        "sweep.toml:8: models.student.backbone.witdh: unknown key; did you mean 'width'?",
    ]


def test_a_path_starts_from_the_sweeps_file(sweep, study, monkeypatch):
    monkeypatch.chdir("/")
    setting = 'set = { models.teacher.weights.recipe = "teacher.toml" }'
    _, offline = plan_sweep(sweep(('"offline.toml"', f'"offline.toml"\n{setting}')))
    assert offline.asked.recipe.models["teacher"].weights.recipe == study / "teacher.toml"


def test_a_recipe_that_is_not_there_is_told(sweep):
    told = refusal(sweep(('"alone.toml"', '"nobody.toml"')))
    assert told.startswith("sweep.toml:7: sweep.arms.alone.recipe: there is no recipe 'nobody.toml'")


def test_a_range_is_for_a_search(sweep):
    told = refusal(sweep(more='[sweep.grid]\n"terms.labels.weight" = { low = 0.1, high = 1 }\n'))
    assert 'sweep.toml:11: sweep.grid."terms.labels.weight": a range needs --search' in told


def test_arms_must_take_as_many_steps_of_the_learner(sweep):
    longer = '"offline.toml"\nset = { train.steps = 6 }'
    told = refusal(sweep(('"offline.toml"', longer)))
    assert told.startswith("sweep.toml:8: sweep.arms.offline: student takes 6 steps in 'offline' and 4 in 'alone'")
    file = sweep(('"offline.toml"', longer), ("[3, 5]", "[3, 5]\nequal_steps = false"))
    assert [row.costs.steps["student"] for row in check_sweep(file, plan_sweep(file))] == [4, 6]


def test_arms_must_be_judged_on_the_same_images(sweep):
    told = refusal(sweep(('"offline.toml"', '"offline.toml"\nset = { data.val.images = 5 }')))
    assert told == "sweep.toml:8: sweep.arms.offline: 'offline' is judged with another data.val than 'alone'"


def test_a_dataset_that_draws_its_images_must_draw_the_same_for_all_arms(sweep):
    drawn = ("steps = 4 }", 'steps = 4, data.dataset = { use = "synthroad", size = [32, 64] } }')
    told = refusal(sweep(drawn, ('"offline.toml"', '"together.toml"\nset = { data.seed = 9 }')))
    assert told == "sweep.toml:8: sweep.arms.offline: 'offline' is judged with another data.seed than 'alone'"
    grid = [('"alone.toml"', '"alone.toml"\ngrid = { data.seed = [1, 2] }'), ('"offline.toml"', '"together.toml"')]
    told = refusal(sweep(drawn, *grid))
    assert "sweep.arms.alone: 'alone seed=2' is judged with another data.seed than 'alone seed=1'" in told


@pytest.mark.parametrize("axis", ["data.val.images = [8, 5]", "evaluate.scales = [[1.0], [0.5, 1.0]]"])
def test_points_of_a_search_must_be_judged_alike(sweep, axis):
    file = sweep(('"offline.toml"', f'"offline.toml"\ngrid = {{ {axis} }}'))
    with pytest.raises(KdsegError) as caught:
        first_points(file)
    what = "data.val" if "data" in axis else "evaluate.window, scales or flip"
    place = f"sweep.toml:10: sweep.arms.offline.grid.{axis.partition(' ')[0]}"
    assert str(caught.value).startswith(place)
    assert str(caught.value).endswith(f"is judged with another {what}: points of a search need one judgement")


def test_a_seed_that_changes_the_training_set_alone_is_no_matter(sweep):
    part = 'data.resample = { method = "bootstrap", trial = 0, trials = 1 }, data.seed = 9'
    file = sweep(('"offline.toml"', f'"offline.toml"\nset = {{ {part} }}'))
    assert len(check_sweep(file, plan_sweep(file))) == 2


def test_who_is_judged_must_learn_in_every_arm(sweep):
    told = refusal(sweep(("[3, 5]", '[3, 5]\nlearner = "teacher"')))
    assert "sweep.toml:5: sweep.learner: no learner 'teacher': the learners of arm 'alone' are student" in told


def test_every_recipe_is_checked_those_of_teachers_too(sweep, study):
    text = (study / "teacher.toml").read_text()
    (study / "teacher.toml").write_text(text + '\n[evaluate]\nmetric = "mio"\n')
    assert "evaluate.metric: unknown metric 'mio'" in refusal(sweep())


def test_rows_are_held_against_the_baseline_at_their_point_or_at_its_first(sweep):
    both = sweep(more='[sweep.grid]\n"terms.labels.weight" = [1.0, 0.5]\n')
    rows = check_sweep(both, plan_sweep(both))
    assert [row.against for row in rows] == [
        "alone weight=1.0",
        "alone weight=1.0",
        "alone weight=1.0",
        "alone weight=0.5",
    ]
    one = sweep(more="grid = { terms.mimic.weight = [1.0, 0.5] }\n")
    assert [row.against for row in check_sweep(one, plan_sweep(one))] == ["alone"] * 3
