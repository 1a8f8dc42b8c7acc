"""Weights that cannot be had or do not fit, told before anything is trained."""

from __future__ import annotations

import hashlib

import pytest

PLACE = "recipe.toml:25: models.student.weights: "


@pytest.fixture
def ask(write):
    """Let the student of ``recipe.toml`` start from weights."""

    def ask(table, *changes):
        write(("clip = 1.0", f"weights = {table}"), *changes)

    return ask


# From a recipe


@pytest.fixture
def other(folder):
    """Write ``other.toml``, which trains the same networks but for what is said."""

    def other(text):
        (folder / "other.toml").write_text(f'extends = "recipe.toml"\ndrop = ["models.student.weights"]\n{text}')

    return other


def test_recipes_whose_weights_come_from_each_other(folder, ask, told):
    ask('{ recipe = "b.toml" }')
    (folder / "b.toml").write_text('extends = "recipe.toml"\nmodels.student.weights = { recipe = "recipe.toml" }\n')
    assert told() == [f"{PLACE}goes round in a circle: recipe.toml -> b.toml -> recipe.toml"]


def test_a_recipe_that_is_broken_itself_tells_all_its_problems(ask, other, told):
    ask('{ recipe = "other.toml" }')
    other("[models.student]\nbackbone.bse = 3\n[train]\nwokers = 1\n")
    assert told() == [
        f"{PLACE}other.toml:4: models.student.backbone.bse: unknown key; did you mean 'base'?",
        f"{PLACE}other.toml:6: train.wokers: unknown key; did you mean 'workers'?",
    ]


def test_a_recipe_that_trains_another_network_tells_what_differs(ask, other, told):
    ask('{ recipe = "other.toml" }')
    other("models.student.backbone = { base = 8, norm = 'group' }\n")
    differs = 'with base = 8, norm = "group"; here the backbone has base = 2, norm = "batch"'
    assert told() == [f"{PLACE}other.toml trains 'student', {differs}"]
    other("models.student.backbone = 'unet1m'\n")
    differs = 'with use = "kdseg/unet1m"; here the backbone has use = "kdseg/unet"'
    assert told() == [f"{PLACE}other.toml trains 'student', {differs}"]


def test_a_recipe_that_trains_no_such_learner_tells_whom_it_trains(ask, other, told):
    ask('{ recipe = "other.toml", model = "pupil" }')
    other("")
    assert told() == [f"{PLACE}'other' trains no learner 'pupil'; `model` may name one of teacher, student"]


def test_a_recipe_that_is_not_there_tells_the_nearest(ask, told):
    ask('{ recipe = "recip.toml" }')
    (line,) = told()
    assert line.startswith(f"{PLACE}there is no recipe ")
    assert "did you mean 'recipe.toml'?" in line


# From a run


@pytest.fixture(scope="module")
def student(finished):
    """The folder of the student that a finished run of the sound recipe trained."""
    return (finished / "latest").resolve() / "models/student"


def test_the_weights_that_the_sound_recipe_trained_fit_it(kdseg, ask, finished):
    ask(f'{{ run = "{finished}" }}')
    assert kdseg("check", "recipe.toml").status == 0


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("base = 2", "base = 3", "holds the weights of another network, with base = 2; here the backbone has base = 3"),
        (
            "images = 8",
            "images = 8, classes = 2",
            "trains on 3 classes (dark, middle, light); this recipe's dataset has 2 (dark, middle)",
        ),
    ],
)
def test_weights_of_a_run_that_do_not_fit_tell_what_differs(ask, told, finished, student, good, bad, message):
    ask(f'{{ run = "{finished}" }}', (good, bad))
    assert told() == [f"{PLACE}{student} {message}"]


def test_weights_for_images_normalised_otherwise_are_told(ask, told, finished, student):
    ask(f'{{ run = "{finished}" }}')
    theirs = "mean [0.485, 0.456, 0.406] and std [0.229, 0.224, 0.225]"
    ours = "data.mean is [0.5, 0.5, 0.5] and data.std [0.229, 0.224, 0.225]"
    assert told("data.mean=[0.5, 0.5, 0.5]") == [f"{PLACE}{student} normalises images with {theirs}; here {ours}"]


def test_a_learner_that_the_run_has_not_is_told(ask, told, finished, student):
    ask(f'{{ run = "{finished}", model = "teachr" }}')
    (line,) = told()
    assert line.startswith(f"{PLACE}{student.parents[1]}: no model 'teachr'; did you mean 'teacher'?")


def test_a_file_of_another_hash_is_told(ask, told, finished, student):
    ask(f'{{ run = "{finished}", sha256 = "{"0" * 64}" }}')
    found = hashlib.sha256((student / "best.safetensors").read_bytes()).hexdigest()
    reason = f"is not the file that the recipe means: its SHA-256 is {found}"
    assert told() == [f"{PLACE}{student}/best.safetensors: {reason}"]
