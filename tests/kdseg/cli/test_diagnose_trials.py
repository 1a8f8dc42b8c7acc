"""`diagnose` of recipes: trainings that are missing are made, once; what does not fit is told."""

from __future__ import annotations

import json

import pytest

from kdseg.recipe.load import load_recipe

ALONE = """
extends = "recipe.toml"
drop = ["models.teacher", "terms.teacher-labels", "terms.mimic", "turns", "terms.labels.turn", "callbacks.best"]
train = { steps = 3, fuse = "off" }
[evaluate]
every = 100
"""
TEACHER = """
extends = "recipe.toml"
drop = ["models.student", "terms.labels", "terms.mimic", "turns", "terms.teacher-labels.turn", "callbacks.best"]
train = { steps = 2, fuse = "off" }
"""
OFFLINE = """
extends = "recipe.toml"
drop = ["terms.teacher-labels", "turns", "terms.labels.turn", "terms.mimic.turn", "callbacks.best"]
train = { steps = 3, fuse = "off" }
[models.teacher]
frozen = true
backbone = { use = "unet", base = 4 }
weights = { recipe = "teacher.toml" }
[evaluate]
every = 100
"""
WORDS = ("diagnose", "biasvar", "alone.toml", "--against", "offline.toml", "--set", "trials=2")


@pytest.fixture
def recipes(folder, write, monkeypatch):
    """A working folder with recipes to train."""
    write()
    for name, text in (("alone", ALONE), ("teacher", TEACHER), ("offline", OFFLINE)):
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    return folder


def test_a_dry_run_lists_the_trainings_and_writes_nothing(kdseg, recipes):
    before = sorted(recipes.rglob("*"))
    status, out, err = kdseg(*WORDS, "--dry-run")
    assert (status, err) == (0, "")
    assert sorted(recipes.rglob("*")) == before
    assert "2 trainings on disjoint parts of the training images, another seed each; a teacher for each trial" in out
    made = [line.split()[0] for line in out.splitlines() if line.endswith("to be made")]
    assert [name.split("-")[0] for name in made] == ["alone", "teacher", "offline"] * 2


@pytest.mark.slow
@pytest.mark.timeout(600)  # six processes, each of which imports everything
def test_trainings_are_made_once_and_both_recipes_are_held_against_each_other(kdseg, recipes):
    status, out, err = kdseg(*WORDS, "--jobs", "2", "--json")
    assert status == 0, err
    findings = json.loads(out)
    assert "difference" in findings["tables"]
    assert any("a teacher for each trial" in note for note in findings["notes"])
    assert json.loads((recipes / "diagnosis/findings.json").read_text()) == findings
    runs = sorted(recipes.glob("runs/trials/runs/*/[0-9]*"))
    assert len(runs) == 6
    by_arm = {arm: [load_recipe(run / "recipe.toml").recipe for run in runs if run.parent.name.startswith(arm)]
              for arm in ("alone", "offline", "teacher")}  # fmt: skip
    assert all(
        [(recipe.seed, recipe.data.resample) for recipe in by_arm["alone"]]
        == [(recipe.seed, recipe.data.resample) for recipe in others]
        for others in by_arm.values()
    )
    status, out, err = kdseg(*WORDS, "--json")
    assert (status, json.loads(out)) == (0, findings)
    assert "0 runs, 1 at once; 4 are there" in err
    assert sorted(recipes.glob("runs/trials/runs/*/[0-9]*")) == runs


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_training_that_fails_is_told_with_how_to_go_on(kdseg, recipes):
    text = (recipes / "alone.toml").read_text()
    (recipes / "alone.toml").write_text(text + '[callbacks.end]\nuse = "signalled"\nnumber = 9\nstep = 1\n')
    status, out, err = kdseg("diagnose", "biasvar", "alone.toml", "--set", "trials=2", "--json", "-o", "my findings")
    assert (status, out) == (1, "")
    assert "killed by SIGKILL" in err
    again = "kdseg diagnose biasvar alone.toml --set trials=2 --output 'my findings' --json"
    assert f"2 trainings failed; to go on: {again}" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["hits", "alone.toml"], "hits looks at finished runs: give their folders, not a recipe"),
        (["biasvar", "alone.toml", "offline.toml"], "a diagnostic takes one recipe, and one more by --against"),
        (
            ["biasvar", "alone.toml", "--against", "runs"],
            "alone.toml is a recipe, runs is none; give recipes alone, or",
        ),
        (["biasvar", "alone.toml", "--against", "alone.toml"], "both recipes are called alone; give one of them"),
        (["biasvar", "alon.toml"], "there is no recipe 'alon.toml'; did you mean 'alone.toml'?"),
        (
            ["biasvar", "alone.toml", "--set", 'resample="fresh"'],
            "drawn has the images that it has and draws no fresh ones; take disjoint, bootstrap or blocks",
        ),
    ],
)
def test_recipes_that_do_not_fit_are_told(kdseg, recipes, words, told):
    (recipes / "runs").mkdir()
    status, out, err = kdseg("diagnose", *words)
    assert (status, out) == (2, "")
    assert err.startswith(told)


def test_runs_that_do_not_fit_are_told(kdseg, folder, finished):
    run = str(finished)
    for words, told in (
        (["hits", run, "--model", "student", "--against", run], "hits holds no trials against others; leave --against"),
        (
            ["hits", run, "--model", "student", "--reference", run],
            "hits takes no network as a target; leave --reference",
        ),
        (
            ["biasvar", run, run, "--model", "student", "--against", run],
            "trials are held against each other one by one",
        ),
        (["hits", run, "--dry-run"], "--dry-run lists the trainings of a recipe; of runs none are made"),
    ):
        status, out, err = kdseg("diagnose", *words)
        assert (status, out) == (2, "")
        assert err.startswith(told)


def test_a_network_that_is_named_twice_is_no_second_trial(kdseg, finished):
    run = next(path for path in finished.iterdir() if not path.is_symlink())
    status, out, err = kdseg("diagnose", "biasvar", str(run), str(run), "--model", "student")
    assert (status, out) == (2, "")
    network = run / "models" / "student"
    assert err.startswith(f"{run}: its network, {network}, is one that is named already")
    for again in (finished, finished / "latest", network):  # by other names
        _, _, err = kdseg("diagnose", "biasvar", str(run), str(again), "--model", "student")
        assert err.startswith(f"{again}: its network, {again if again == network else network}, is that of {run}; each")
