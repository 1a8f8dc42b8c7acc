"""Which finished runs learned from the same images, and so differ in their seed alone."""

from __future__ import annotations

import shutil

import pytest

from kdseg.engine.judge.arms import arms_of
from kdseg.engine.splits.open import open_split
from kdseg.errors import KdsegError
from kdseg.recipe.load import load_recipe


@pytest.fixture
def run(folder):
    """Make what `arms_of` reads of a run: its recipe."""

    def run(name, data="", seed=0):
        place = folder / name
        place.mkdir()
        shutil.copy(folder / "parts.py", place)
        (place / "recipe.toml").write_text(
            f'extends = "../base.toml"\nseed = {seed}\n[models.student]\nbackbone = "tiny"\n'
            f'[terms.labels]\nlearner = "student"\nloss = "cross_entropy"\n[data]\ndataset = "squares"\n{data}\n'
        )
        return place

    return run


def bootstrap(trial, seed="seed = 0"):
    return f'resample = {{ method = "bootstrap", trial = {trial}, trials = 2 }}\n{seed}'


def test_runs_that_differ_in_their_seed_share_a_training_set_and_others_do_not(run):
    seeds = [run(f"seed{seed}", seed=seed) for seed in (1, 2)]
    drawn = [run(f"drawn{trial}-{seed}", bootstrap(trial), seed) for trial in (0, 1) for seed in (3, 4)]
    more = run("more", "train = { images = 17 }")
    assert arms_of({"trials": seeds})[0].arm.samples == (0, 0)
    assert arms_of({"trials": drawn})[0].arm.samples == (0, 0, 1, 1)
    assert arms_of({"trials": [seeds[0], more]})[0].arm.samples == (0, 1)
    assert arms_of({"trials": [run("again", "seed = 5"), seeds[0]]})[0].arm.samples == (0, 1)


def test_a_sample_that_the_recipes_seed_draws_is_another_for_each_seed(run):
    drawn = [run(f"drawn{seed}", bootstrap(0, ""), seed) for seed in (3, 4)]
    seen = [[sample.id for sample in open_split(load_recipe(path / "recipe.toml").recipe, "train")] for path in drawn]
    assert seen[0] != seen[1]
    assert arms_of({"trials": drawn})[0].arm.samples == (0, 1)


def test_arms_that_learned_from_the_same_are_known_by_the_same_numbers(run):
    ours = [run(f"ours{trial}", bootstrap(trial)) for trial in (0, 1)]
    theirs = [run(f"theirs{trial}", bootstrap(trial), seed=9) for trial in (0, 1)]
    assert [side.arm.samples for side in arms_of({"trials": ours, "against": theirs})] == [(0, 1), (0, 1)]
    assert [side.arm.samples for side in arms_of({"trials": ours, "against": theirs[::-1]})] == [(0, 1), (1, 0)]


def test_runs_of_one_training_set_stand_together(run):
    zero, one, again = (run(f"drawn{number}", bootstrap(number % 2), number) for number in range(3))
    told = (
        "trials: give runs that learned from the same images one after the other; their training sets come as 0, 1, 0"
    )
    with pytest.raises(KdsegError, match=told):
        arms_of({"trials": [zero, one, again]})
