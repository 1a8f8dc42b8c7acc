"""What the trials of a recipe are: their training sets, their seeds, and their teachers."""

from __future__ import annotations

from collections import Counter

import pytest
from attrs import evolve

from kdseg.diagnostics import Trainings
from kdseg.engine.splits.open import open_split
from kdseg.engine.study.planned import in_order
from kdseg.engine.study.trials import plan_arm
from kdseg.errors import KdsegError
from kdseg.recipe.load import load_recipe


@pytest.fixture(autouse=True)
def roads(study):
    """Let the study's recipes learn from roads, which are drawn."""
    text = (study / "base.toml").read_text()
    assert text.count('dataset = "squares"') == 1
    road = 'dataset = { use = "synthroad", size = [32, 32], images = 12 }'
    (study / "base.toml").write_text(text.replace('dataset = "squares"', road))


@pytest.fixture
def plan(study):
    """Plan the trials of one of the study's recipes."""

    def plan(name="offline", **wanted):
        return plan_arm(load_recipe(study / f"{name}.toml"), Trainings(**{"samples": 3, **wanted}), study / "trials")

    return plan


def images(loaded, split="train"):
    """Give the images that a recipe's run trains on, or is judged on, as bytes."""
    samples = open_split(loaded.recipe, split)
    return [samples[index].image.tobytes() for index in range(len(samples))]


def settled(loaded):
    """Give a recipe whose images stay those of its seed, whatever that becomes."""
    recipe = loaded.recipe
    return evolve(loaded, recipe=evolve(recipe, data=evolve(recipe.data, seed=recipe.seed)))


def test_disjoint_parts_are_all_training_images_together(plan, study):
    arm = plan("alone", resampling="disjoint")
    parts = [images(run.loaded) for run in arm.runs]
    whole = images(settled(load_recipe(study / "alone.toml")))
    assert Counter(image for part in parts for image in part) == Counter(whole)


@pytest.mark.parametrize(("resampling", "block"), [("bootstrap", 1), ("blocks", 2)])
def test_drawn_sets_are_of_the_training_images_and_differ(plan, study, resampling, block):
    sets = [images(run.loaded) for run in plan("alone", resampling=resampling, block=block).runs]
    whole = images(settled(load_recipe(study / "alone.toml")))
    assert all(len(drawn) == len(whole) and set(drawn) <= set(whole) for drawn in sets)
    assert len({tuple(drawn) for drawn in sets}) == 3


def test_fresh_images_are_others_in_each_trial_and_none_is_judged_on(plan, study):
    sets = [set(images(run.loaded)) for run in plan("alone", resampling="fresh").runs]
    judged = set(images(load_recipe(study / "alone.toml"), "val"))
    assert len(set.union(*sets, judged)) == sum(map(len, sets)) + len(judged)


def test_seeds_alone_leave_the_images(plan):
    arm = plan("alone", resampling="seed")
    assert arm.arm.samples == (0, 0, 0)
    runs = arm.runs
    assert images(runs[0].loaded) == images(runs[1].loaded) == images(runs[2].loaded)
    assert len({run.seed for run in runs}) == 3


def test_every_seed_of_a_sample_learns_from_the_same_images(plan):
    arm = plan("alone", samples=2, seeds=3, resampling="fresh")
    assert arm.arm.samples == (0, 0, 0, 1, 1, 1)
    sets = [tuple(images(run.loaded)) for run in arm.runs]
    assert sets == [sets[0]] * 3 + [sets[3]] * 3
    assert len({run.seed for run in arm.runs}) == 6


def test_a_teacher_of_a_trial_learns_from_its_images_with_its_seed(plan):
    for run in plan(resampling="fresh").runs:
        (teacher,) = run.needs
        assert (teacher.seed, images(teacher.loaded)) == (run.seed, images(run.loaded))
        assert run.loaded.recipe.models["teacher"].weights.recipe == teacher.file
        assert teacher.file in {other.file for other in in_order([run])}


def test_arms_are_paired_by_images_and_seed(plan):
    for ours, theirs in zip(plan("alone").runs, plan("offline").runs, strict=True):
        assert (ours.seed, images(ours.loaded)) == (theirs.seed, images(theirs.loaded))


def test_a_shared_teacher_is_that_of_its_recipe_and_is_named_so(plan, study):
    arm = plan(resampling="fresh", teacher="shared")
    files = {run.needs[0].file for run in arm.runs}
    assert files == {study / "teacher.toml"}
    assert "one teacher for all trials (teacher, trained on all training images of synthroad by seed " in (
        arm.arm.description
    )


@pytest.mark.parametrize(("resampling", "block"), [("fresh", 1), ("bootstrap", 1), ("blocks", 3), ("seed", 1)])
def test_trials_of_another_number_are_found_again(plan, resampling, block):
    few, more = (plan("alone", samples=n, resampling=resampling, block=block).runs for n in (3, 5))
    assert [run.name for run in few] == [run.name for run in more[:3]]


def test_what_a_dataset_draws_is_fresh_and_what_lies_there_is_shared_out(plan, monkeypatch):
    assert plan("alone").arm.description.startswith("3 trainings on freshly drawn training images")
    dataset = type(plan("alone").asked.recipe.data.dataset)
    monkeypatch.setattr(dataset, "draws", False)
    assert plan("alone").arm.description.startswith("3 trainings on disjoint parts of the training images")
    with pytest.raises(KdsegError, match="draws no fresh ones; take disjoint, bootstrap or blocks"):
        plan("alone", resampling="fresh")


def test_a_recipe_that_resamples_itself_is_refused(plan, study):
    path = study / "alone.toml"
    path.write_text(path.read_text() + '[data]\nresample = { method = "bootstrap", trials = 2, trial = 0 }\n')
    with pytest.raises(KdsegError, match="would be overruled"):
        plan("alone")


def test_a_teacher_that_is_trained_already_is_shared_and_is_named_so(plan, study):
    text = (study / "offline.toml").read_text()
    (study / "offline.toml").write_text(text.replace('recipe = "teacher.toml"', 'file = "teacher.safetensors"'))
    with pytest.raises(KdsegError, match=r'models\.teacher\.weights are there already, .* say teacher = "shared"'):
        plan()
    arm = plan(teacher="shared")
    assert "one teacher for all trials (teacher.safetensors): what it brings varies in no trial" in arm.arm.description
    assert all(not run.needs for run in arm.runs)
