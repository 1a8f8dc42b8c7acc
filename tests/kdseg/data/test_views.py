"""Batches with views, and with samples without labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.data.augment import Augmentation
from kdseg.data.batches import Feed
from kdseg.data.loader import Unlabelled, train_steps
from kdseg.data.samples import IGNORE_INDEX, Sample
from kdseg.data.unmasked import unmasked
from kdseg.data.views import view_augmentation

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create .* worker processes:UserWarning"),  # on one core
]

CHAIN = [("RandomCrop", {"height": 16, "width": 16}), ("HorizontalFlip", {})]
NOISE = [("GaussNoise", {"p": 0.8}), ("RandomGamma", {})]


class Blank:
    """Samples of one pixel, with labels even where nobody should look at them."""

    def __init__(self, count, kind):
        self.count, self.kind = count, kind

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return Sample(image=np.zeros((1, 1, 3), np.uint8), mask=np.zeros((1, 1), np.uint8), id=f"{self.kind}{index}")


def steps(samples, **changes):
    options = {"seed": 7, "batch_size": 4, "micro_batches": 1, "last_step": 6, "workers": 0, "augmentation": None}
    return [*train_steps(samples, **(options | changes))]


@settings(max_examples=100, deadline=None)
@given(data=st.data(), labelled=st.integers(24, 60), further=st.integers(1, 60), seed=st.integers(0, 5))
def test_each_part_of_a_batch_has_its_share_and_all_see_one_run(data, labelled, further, seed):
    world, micro_batches = data.draw(st.sampled_from([1, 2, 3])), data.draw(st.sampled_from([1, 2, 4]))
    parts = world * micro_batches
    images = parts * data.draw(st.integers(1, 24 // parts - 1)) if parts < 24 else None
    if images is None:
        return
    first = data.draw(st.integers(0, 7))
    options = {"seed": seed, "batch_size": 24, "last_step": 8}
    options["unlabelled"] = Unlabelled(feed=Feed(samples=unmasked(Blank(further, "u"))), images=images)
    whole = [step[0] for step in steps(Blank(labelled, "l"), **options)]
    ranks = [
        steps(Blank(labelled, "l"), **options, first_step=first, world=world, rank=rank, micro_batches=micro_batches)
        for rank in range(world)
    ]
    for number, shares in enumerate(zip(*ranks, strict=True), start=first):
        batches = [batch for share in shares for batch in share]
        for batch in batches:
            kinds = [name[0] for name in batch.ids]
            assert kinds == ["l"] * ((24 - images) // parts) + ["u"] * (images // parts)
            assert [mask.item() for mask in batch.masks] == [IGNORE_INDEX if kind == "u" else 0 for kind in kinds]
        for kind in "lu":
            found = [name for batch in batches for name in batch.ids if name[0] == kind]
            assert found == [name for name in whole[number].ids if name[0] == kind]
    seen = [name for batch in whole for name in batch.ids if name[0] == "u"]
    for start in range(0, len(seen) - further + 1, further):  # epoch by epoch
        assert len(set(seen[start : start + further])) == further
    alone = steps(Blank(labelled, "l"), seed=seed, batch_size=24 - images, last_step=8)
    assert [[name for name in batch.ids if name[0] == "l"] for batch in whole] == [[*step[0].ids] for step in alone]


def content(step):
    return [[values.numpy().tobytes() for values in batch.tensors] + [batch.ids, [*batch.views]] for batch in step]


def mixed(scenes, **changes):
    """Two participants with views, and unlabelled scenes of another size before their crop."""
    views = {name: view_augmentation(NOISE, 7, name) for name in ("mean", "peer")}
    feed = Feed(
        samples=unmasked(scenes(count=5, height=30)),
        augmentation=Augmentation(CHAIN, 7, ("unlabelled-augment",)),
        views={name: view_augmentation(NOISE, 7, name, "unlabelled-view") for name in views},
    )
    options = {"augmentation": Augmentation(CHAIN, 7), "views": views, "unlabelled": Unlabelled(feed=feed, images=2)}
    return steps(scenes(count=9), **(options | changes))


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_and_resumption_change_no_byte(scenes, workers):
    alone = [content(step) for step in mixed(scenes, micro_batches=2)]
    assert [content(step) for step in mixed(scenes, micro_batches=2, workers=workers)] == alone
    assert [content(step) for step in mixed(scenes, micro_batches=2, workers=workers, first_step=3)] == alone[3:]


def test_views_change_pixels_of_their_own_alone(scenes):
    seen = [step[0] for step in mixed(scenes)]
    plain = [step[0] for step in mixed(scenes, views=None, unlabelled=None, batch_size=2)]
    for batch, without in zip(seen, plain, strict=True):
        assert torch.equal(batch.images[:2], without.images)
        assert torch.equal(batch.masks[:2], without.masks)
        assert (batch.masks[2:] == IGNORE_INDEX).all()
        assert batch.views["mean"].shape == batch.images.shape
        assert not torch.equal(batch.views["mean"], batch.images)
        assert not torch.equal(batch.views["mean"], batch.views["peer"])


def test_a_view_is_the_same_in_whatever_part_of_a_batch(scenes):
    (whole,) = (step[0] for step in mixed(scenes, last_step=1, batch_size=4))
    parts = mixed(scenes, last_step=1, batch_size=4, micro_batches=2)[0]
    views = {name: view for part in parts for name, view in zip(part.ids, part.views["mean"], strict=True)}
    for name, view in zip(whole.ids, whole.views["mean"], strict=True):
        assert torch.equal(views[name], view)
