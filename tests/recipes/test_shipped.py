"""The shipped recipes: what they say of themselves, that nothing is wrong with them, and that each runs to its end."""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

from kdseg import load
from kdseg.engine.learn.plan import Plan
from kdseg.engine.study.runs import plan_sweep
from kdseg.engine.study.sweep_file import read_sweep
from kdseg.recipe.load import load_recipe
from kdseg.recipe.schema import Learner

FOLDER = Path(__file__).parents[2] / "recipes"
FILES = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.toml"))}
RECIPES = [name for name, document in FILES.items() if "sweep" not in document]
STUDIES = [name for name, document in FILES.items() if "sweep" in document]


def recipe_of(name):
    return load_recipe(FOLDER / f"{name}.toml").recipe


def sources_of(name):
    """The recipes that train a recipe's frozen participants."""
    weights = [getattr(model, "weights", None) for model in recipe_of(name).models.values()]
    return [one.recipe.stem for one in weights if one is not None and one.recipe is not None]


CAMVID = [name for name in RECIPES if name.startswith("camvid")]
DOWNLOADED = [name for name in RECIPES if name.startswith(("cityscapes", "bdd100k"))]
"""Of which tests/plugins/kdseg_road/test_recipes.py sees that they run."""
SYNTHETIC = [name for name in RECIPES if name not in (*CAMVID, *DOWNLOADED)]
OFFLINE = [name for name in SYNTHETIC if name.startswith("offline")]
"""Of a frozen teacher, that of teacher.toml or a smaller one."""
CHAINED = [name for name in SYNTHETIC if sources_of(name)]
"""With weights that another recipe trains."""
PAIRED = [
    *OFFLINE,
    *("hard_soft_by_step", "several_teachers", "teacher_assistant", "warm_up_then_distil"),
    *("kdcl", "mutual_three", "mutual_two", "online_alternating", "self_shadow", "switokd", "watched"),
]
"""Whose student is that of student_alone."""
needs_camvid = pytest.mark.skipif(
    "KDSEG_CAMVID" not in os.environ, reason="KDSEG_CAMVID does not say where the images of CamVid are"
)
CITATION = re.compile(r"# Source: (a baseline\.|.+ \(\d{4}\.\d{4,5}\).*)")


@pytest.fixture(autouse=True)
def working_folder(tmp_path, monkeypatch):
    """Let the runs of a test lie in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# What they say


@pytest.mark.parametrize("name", [*RECIPES, *STUDIES])
def test_it_opens_with_what_it_shows_and_its_source(name):
    lines = (FOLDER / f"{name}.toml").read_text(encoding="utf-8").splitlines()
    opening = lines[: next(number for number, line in enumerate(lines) if not line.startswith("# "))]
    assert len(" ".join(opening[:-1])) > 60
    assert [line for line in opening if CITATION.fullmatch(line)]


def test_there_are_those_that_the_documentation_names():
    assert set(RECIPES) >= {
        "assistant",
        "bdd100k_online",
        "cityscapes_offline",
        "cityscapes_teacher",
        "camvid_online",
        "camvid_student",
        "distil_unlabelled",
        "hard_soft_by_epoch",
        "hard_soft_by_step",
        "kdcl",
        "mean_teacher",
        "mutual_three",
        "mutual_two",
        "offline_feature_bottleneck",
        "offline_feature_decoder",
        "offline_feature_encoder",
        "offline_learned_temperature",
        "offline_logit",
        "offline_logit_cwd",
        "offline_relation",
        "one_branches",
        "online_alternating",
        "online_together",
        "self_shadow",
        "several_teachers",
        "student_alone",
        "switokd",
        "offline_17m",
        "teacher",
        "teacher_17m",
        "teacher_assistant",
        "teacher_confidence_penalty",
        "teacher_label_smoothing",
        "teacher_max_entropy",
        "teacher_small",
        "teacher_student_friendly",
        "warm_up_then_distil",
        "watched",
    }
    assert set(STUDIES) >= {"alternation_study", "pruning_study"}


@pytest.mark.parametrize("name", RECIPES)
def test_it_is_found_by_its_bare_name(kdseg, name):
    assert kdseg("check", "--quick", name).status == 0


# That they compare like with like


def student_of(name, steps_per_epoch):
    """All that decides how a recipe's student learns from labels."""
    recipe = recipe_of(name)
    return {
        "steps": Plan(recipe=recipe, steps_per_epoch=steps_per_epoch).learner_steps["student"],
        "model": recipe.models["student"],
        "data": recipe.data,
        "seed": recipe.seed,
        "batch_size": recipe.train.batch_size,
        "labels": (recipe.terms["student-labels"].loss, recipe.terms["student-labels"].weight),
    }


@pytest.mark.parametrize(
    ("baseline", "name", "steps_per_epoch"),
    [
        ("student_alone", "online_together", 250),
        *(("student_alone", name, 250) for name in PAIRED),
        ("camvid_student", "camvid_online", 45),
    ],
)
def test_a_student_is_held_against_one_of_as_many_steps_and_all_else_equal(baseline, name, steps_per_epoch):
    assert student_of(baseline, steps_per_epoch) == student_of(name, steps_per_epoch)


@pytest.mark.parametrize("name", OFFLINE)
def test_the_offline_teacher_is_the_network_of_its_recipe(name):
    offline = recipe_of(name)
    source = offline.models["teacher"].weights.recipe
    assert source == FOLDER / ("teacher_17m.toml" if name == "offline_17m" else "teacher.toml")
    teacher = recipe_of(source.stem)
    assert offline.models["teacher"].backbone == teacher.models["teacher"].backbone
    assert offline.data == teacher.data


# That nothing is wrong with them


@pytest.mark.parametrize("name", STUDIES)
def test_every_run_of_a_study_could_be_made(kdseg, working_folder, name):
    status, out, err = kdseg("sweep", name, "--dry-run")
    assert (status, err) == (0, "")
    assert " runs, " in out.splitlines()[0]
    assert list(working_folder.iterdir()) == []


def test_the_teachers_of_the_alternation_study_learn_in_the_same_way():
    rows = {variant.arm: variant for variant in plan_sweep(read_sweep("alternation_study"))}
    assert list(rows) == ["alone", "offline", "together", "alternating"]
    teachers = [run.needs[0].loaded.recipe.models["teacher"] for run in rows["offline"].runs]
    teachers += [rows[arm].asked.recipe.models["teacher"] for arm in ("together", "alternating")]
    students = [row.asked.recipe.models["student"] for row in rows.values()]
    assert all(one == first for first, *others in (teachers, students) for one in others)


@pytest.mark.parametrize("name", [*SYNTHETIC, *(pytest.param(name, marks=needs_camvid) for name in CAMVID)])
def test_check_finds_nothing_wrong(kdseg, working_folder, name):
    status, out, err = kdseg("check", str(FOLDER / f"{name}.toml"))
    assert (status, err) == (0, "")
    assert out.endswith("\nno problem found\n")
    assert "warning" not in out
    assert list(working_folder.iterdir()) == []


@pytest.mark.parametrize("name", CAMVID)
def test_without_its_images_it_names_the_variable(kdseg, monkeypatch, name):
    monkeypatch.delenv("KDSEG_DATA", raising=False)
    monkeypatch.delenv("KDSEG_CAMVID", raising=False)
    status, out, err = kdseg("check", str(FOLDER / f"{name}.toml"))
    assert (status, out) == (2, "")
    assert re.search(r"camvid_online\.toml:\d+: data\.dataset: .*\$KDSEG_CAMVID", err)


# That they run


def shrunk(name, steps):
    """Settings that leave a recipe what it is, and make it run in seconds."""
    recipe = recipe_of(name)
    learners = [label for label, model in recipe.models.items() if isinstance(model, Learner)]
    length = "train.steps" if recipe.train.steps_of is None else "train.steps_of.student"
    settings = [f"{length}={steps}", "train.batch_size=2", "train.workers=0", "evaluate.unit=step"]
    settings += [f"models.{label}.backbone.base=4" for label in learners]
    if name in SYNTHETIC:
        settings += ["data.train.images=8", "data.val.images=4", "data.dataset.size=[48, 96]"]
    if recipe.data.unlabelled is not None:
        settings += ["data.unlabelled.dataset.size=[48, 96]"]
    return [word for setting in settings for word in ("--set", setting)]


def assert_ready(summary, classes):
    """Hold what a finished run left against what it should have."""
    run = Path(summary["folder"])
    assert (run / "pictures/comparison.png").stat().st_size > 1000
    for name, participant in summary["participants"].items():
        assert 0 <= participant["miou"] <= 1
        if participant["steps"]:
            model = load(run, name)
            mask = model.predict(np.zeros((64, 96, 3), np.uint8))
            assert mask.shape == (64, 96)
            assert len(model.classes) == classes


@pytest.mark.parametrize("name", [name for name in SYNTHETIC if name not in CHAINED])
def test_it_runs_to_its_end_on_drawn_images(kdseg, name):
    status, out, err = kdseg("run", str(FOLDER / f"{name}.toml"), "--json", *shrunk(name, 4))
    assert status == 0, err
    summary = json.loads(out)
    learners = [label for label, model in recipe_of(name).models.items() if isinstance(model, Learner)]
    steps = {label: summary["participants"][label]["steps"] for label in learners}
    if name == "switokd":
        assert 1 <= steps.pop("teacher") <= 4
    in_turns = name in ("online_alternating", "watched")
    assert steps == {label: 2 if in_turns and label == "teacher" else 4 for label in steps}
    assert_ready(summary, 19)


@needs_camvid
@pytest.mark.parametrize("name", CAMVID)
def test_it_runs_to_its_end_on_real_images(kdseg, working_folder, monkeypatch, name):
    everything = Path(os.environ["KDSEG_CAMVID"])
    for split, count in (("train", 6), ("val", 2)):
        for file in sorted((everything / split).glob("*.png"))[:count]:
            for folder in (split, f"{split}annot"):
                (working_folder / "few" / folder).mkdir(parents=True, exist_ok=True)
                shutil.copy(everything / folder / file.name, working_folder / "few" / folder)
    monkeypatch.setenv("KDSEG_CAMVID", str(working_folder / "few"))
    status, out, err = kdseg("run", str(FOLDER / f"{name}.toml"), "--json", *shrunk(name, 4))
    assert status == 0, err
    summary = json.loads(out)
    assert summary["participants"]["student"]["steps"] == 4
    assert_ready(summary, 11)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A folder of recipes that take seconds: what `--set` says would not reach the recipe of a teacher."""
    folder = tmp_path_factory.mktemp("small")
    for name in SYNTHETIC:
        text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
        for pattern, replacement in (
            (r"^steps = \d+$", "steps = 3\nworkers = 0"),
            (r"^steps_of = .*$", "steps_of = { student = 3 }\nworkers = 0"),
            (r"^batch_size = 8$", "batch_size = 2"),
            (r'"unet70m"$', '{ use = "unet70m", base = 4 }'),
            (r"base = (24|48)\b", "base = 4"),
            (r'"synthroad", size = \[64, 128\]', '"synthroad", images = 8, size = [48, 96]'),
            (r"images = 240\b", "images = 2"),
        ):
            text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", CHAINED)
def test_a_frozen_teacher_is_trained_first_and_only_once(kdseg, monkeypatch, small, name):
    monkeypatch.chdir(small)
    status, out, err = kdseg("run", f"{name}.toml", "--json")
    assert status == 0, err
    summary = json.loads(out)
    models = recipe_of(name).models
    assert {label: participant["steps"] for label, participant in summary["participants"].items()} == {
        label: 3 if isinstance(model, Learner) else 0 for label, model in models.items()
    }
    assert_ready(summary, 19)
    for label, model in models.items():
        if not isinstance(model, Learner):
            (run,) = (small / "runs" / model.weights.recipe.stem).glob("[0-9]*")  # of all recipes that ask for it
            trained = json.loads((run / "summary.json").read_text())["participants"][model.weights.model or label]
            assert trained["steps"] == 3
            assert summary["participants"][label]["miou"] == trained["best"]["value"]  # on the same images


def test_what_is_run_again_leaves_the_teacher_as_it_is(kdseg, monkeypatch, small):
    monkeypatch.chdir(small)
    for _ in range(2):
        assert kdseg("run", "offline_logit.toml").status == 0
    assert len(list((small / "runs/teacher").glob("[0-9]*"))) == 1
    assert len(list((small / "runs/offline_logit").glob("[0-9]*"))) >= 2
