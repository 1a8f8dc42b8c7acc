"""A run trains on the images that `data.resample` gives it, and on no others; `data.seed` says which those are."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch
from attrs import asdict

from kdseg.data.resample import resample
from kdseg.engine.check.phases import check
from kdseg.engine.run.start import resume_run, run_recipe
from kdseg.engine.splits.open import open_split, open_unlabelled, split_context
from kdseg.errors import KdsegError
from kdseg.hooks import Hooks

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create .* worker processes:UserWarning"),  # on one core
]

RECIPE = """
[models.student]
backbone = "tiny"
[terms.labels]
learner = "student"
loss = "cross_entropy"
"""
PART = 'data.resample={ method = "disjoint", trial = 1, trials = 2, block = 3 }'
DRAWS = 'data.resample={ method = "bootstrap", trial = 1, trials = 2 }'
BLOCKS = 'data.resample={ method = "blocks", trial = 1, trials = 2, block = 3 }'
ROADS = 'data.dataset={ use = "synthroad", size = [32, 32], images = 8 }'


class Watcher(Hooks):
    """Notes the ids and the images of every step."""

    def __init__(self):
        self.ids, self.images = [], {}

    def on_step_end(self, run):
        self.ids.append(run.batch.ids)
        self.images |= dict(zip(run.batch.ids, run.batch.images.clone(), strict=True))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("setting", [PART, DRAWS, BLOCKS], ids=["disjoint", "bootstrap", "blocks"])
def test_a_run_sees_those_images_alone(train, load, setting, workers):
    """An epoch sees each of them once."""
    watcher = Watcher()
    train(RECIPE, setting, f"train.workers={workers}", "train.batch_size=1", "train.steps=18", watcher=watcher)
    loaded = load(RECIPE, setting)
    indices = resample(16, seed=3, **asdict(loaded.recipe.data.resample)).tolist()
    epoch = sorted(name.split(" ")[0] for (name,) in watcher.ids[: len(indices)])
    assert epoch == sorted(map(str, indices))
    assert len({name for (name,) in watcher.ids}) == len(indices)
    samples = loaded.recipe.data.train.build(split_context(loaded.recipe, "train"))
    for name, image in watcher.images.items():
        assert torch.equal(image, torch.from_numpy(samples[int(name.split(" ")[0])].image))


def test_workers_change_nothing(train, assert_same, weights):
    found = [train(RECIPE, DRAWS, f"train.workers={workers}", name=f"of{workers}") for workers in (0, 2)]
    assert_same(weights(found[1], "student"), weights(found[0], "student"))


def test_validation_and_other_splits_are_left_as_they_are(load):
    loaded = load(RECIPE, PART)
    checked = check(loaded)
    assert len(checked.train) < 16
    assert len(checked.val) == len(open_split(loaded.recipe, "val")) == 16
    assert [sample.id for sample in open_split(loaded.recipe, "train")] == [sample.id for sample in checked.train]


def test_what_cannot_be_is_told_at_its_key(load):
    loaded = load(RECIPE, 'data.resample={ method = "disjoint", trial = 1, trials = 7, block = 3 }')
    told = r"data\.resample\.trials: must be 6 or less, as the training split has 16 images in 6 blocks of 3: 7"
    with pytest.raises(KdsegError, match=told):
        open_split(loaded.recipe, "train")
    with pytest.raises(KdsegError, match=told):
        check(loaded)


def test_a_killed_run_goes_on_with_its_images(train, load, in_child, folder, contents):
    class Kill(Hooks):
        def on_step_end(self, run):
            if run.step == 5:
                os.kill(os.getpid(), signal.SIGKILL)

    settings = (PART, "checkpoint.every=2")
    whole = contents(train(RECIPE, *settings, name="whole").folder)
    loaded = load(RECIPE, *settings)
    assert in_child(lambda: run_recipe(loaded, console=Kill)) == -signal.SIGKILL
    run = resume_run((folder / "runs/recipe/latest").resolve()).folder
    found = contents(run)
    assert found.keys() == whole.keys()
    assert [file for file in found if found[file] != whole[file]] == []


@pytest.mark.parametrize(
    "settings", [(DRAWS, "data.seed=5"), (ROADS, "data.seed=5"), (ROADS,)], ids=["sample", "drawn", "not-said"]
)
def test_the_seed_of_the_data_keeps_its_images_whatever_the_recipes_is(train, assert_same, weights, settings):
    watchers, found = [Watcher(), Watcher()], []
    settings = (*settings, "train.steps=4")
    for seed, watcher in enumerate(watchers):
        found.append(train(RECIPE, *settings, f"seed={seed}", name=f"seed{seed}", watcher=watcher))
    one, other = (watcher.images for watcher in watchers)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert watchers[0].ids != watchers[1].ids  # the order is the recipe's
    with pytest.raises(AssertionError):
        assert_same(weights(found[1], "student"), weights(found[0], "student"))


@pytest.mark.parametrize("settings", [(DRAWS,), (ROADS,)], ids=["sample", "drawn"])
def test_another_seed_of_the_data_gives_other_images_and_the_same_first_weights(load, settings):
    def images(*more):
        samples = check(load(RECIPE, *settings, *more)).train
        return [sample.image.tobytes() for sample in samples]

    assert images("data.seed=1") == images("data.seed=1", "seed=9")
    assert images("data.seed=1") != images("data.seed=2")


def test_it_is_the_recipes_where_it_is_not_said(load):
    plain, said = load(RECIPE, DRAWS).recipe, load(RECIPE, DRAWS, "data.seed=3", "seed=8").recipe
    assert (plain.data_seed, said.data_seed) == (3, 3)
    assert [one.id for one in open_split(plain, "train")] == [one.id for one in open_split(said, "train")]


def test_every_dataset_of_a_recipe_is_told_it(load, monkeypatch):
    recipe = load(RECIPE, "data.seed=6", 'data.unlabelled={ dataset = "squares" }').recipe
    asked, build = [], type(recipe.data.dataset).build
    monkeypatch.setattr(type(recipe.data.dataset), "build", lambda self, ctx: asked.append(ctx) or build(self, ctx))
    for split in ("train", "val"):
        open_split(recipe, split)
    open_unlabelled(recipe, recipe.data.unlabelled)
    assert [(ctx.split, ctx.seed, ctx.data_seed) for ctx in asked] == [
        ("train", 6, 6),
        ("val", 6, 6),
        ("train", 6, 6),
    ]


def test_rare_classes_are_counted_among_the_images_of_the_trial(train):
    watcher = Watcher()
    rare = "data.rare_classes={ temperature = 0.05, min_share = 0.3 }"
    train(RECIPE, PART, rare, watcher=watcher)
    seen = {int(name) for ids in watcher.ids for name in ids}
    part = resample(16, seed=3, method="disjoint", trial=1, trials=2, block=3)
    assert seen <= set(part.tolist())
    assert np.size(watcher.ids) == 32
