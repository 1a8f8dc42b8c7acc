"""Batches through slots of shared memory are the batches that are made without workers."""

from __future__ import annotations

import itertools
import multiprocessing
import random

import numpy as np
import pytest
import torch

from kdseg.data import loader, slots
from kdseg.data.loader import eval_batches, train_steps

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create .* worker processes:UserWarning"),
]


def assert_same_batches(found, wanted):
    for one, other in itertools.zip_longest(found, wanted):
        assert one.ids == other.ids
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.masks, other.masks)


def steps(samples, workers):
    made = train_steps(samples, None, seed=3, batch_size=4, micro_batches=2, last_step=40, workers=workers)
    return [batch for micro_batches in made for batch in micro_batches]  # all of them kept: no slot may be seen in two


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_eighty_batches_through_five_slots_keep_apart(scenes, workers):
    samples = scenes(count=23)
    assert_same_batches(steps(samples, workers), steps(samples, 0))


@pytest.mark.parametrize("room", [1, 24 * 32 * 4 * 2 - 1, 24 * 32 * 4 * 2])
def test_what_a_slot_cannot_take_comes_all_the_same(scenes, monkeypatch, room):
    monkeypatch.setattr(slots, "SLOT_BYTES", room)
    samples = scenes(count=11)
    assert_same_batches(steps(samples, 2), steps(samples, 0))


def test_batches_of_different_sizes_share_slots(scenes):
    samples = scenes(count=17, larger=(2, 3, 9, 16))
    found = list(eval_batches(samples, batch_size=1, workers=2))
    assert_same_batches(found, eval_batches(samples, batch_size=1, workers=0))
    assert {tuple(batch.masks.shape) for batch in found} == {(1, 24, 32), (1, 48, 64)}


@pytest.mark.parametrize("why", ["no address space", "no fork"])
def test_without_slots_it_works_as_torch_does(scenes, monkeypatch, why):
    def refused(*_, **__):
        raise OSError

    if why == "no fork":
        monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "spawn")
    else:
        monkeypatch.setattr(slots.mmap, "mmap", refused)
    assert slots.make_slots(3) is None
    samples = scenes(count=11)
    assert_same_batches(steps(samples, 2), steps(samples, 0))


@pytest.mark.parametrize("seed", range(4))
def test_batches_that_are_held_for_any_time_stay_as_they_were(scenes, seed):
    """Whichever are let go, in whatever order, no later batch is written into those that are held."""
    numbers, samples = random.Random(seed), scenes(count=23)
    held = []
    made = train_steps(samples, None, seed=3, batch_size=4, micro_batches=1, last_step=60, workers=2)
    wanted = train_steps(samples, None, seed=3, batch_size=4, micro_batches=1, last_step=60, workers=0)
    for (batch,), (other,) in zip(made, wanted, strict=True):
        held.append((batch.images[numbers.randrange(4)], batch.masks, other))  # a view holds as much
        del batch
        numbers.shuffle(held)
        del held[numbers.randrange(5) :]
        for image, masks, same in held:
            assert torch.equal(masks, same.masks)
            assert any(torch.equal(image, one) for one in same.images)


def test_a_slot_is_lent_until_nobody_holds_any_of_it():
    kept = slots.make_slots(1)
    taken = [kept.take() for _ in range(slots.LENT + 1)]
    shapes = [(2, 3), (4,)]
    for number in taken:
        for place in kept.places(number, shapes):
            place[...] = number + 1
    given = [kept.tensors(number, shapes) for number in taken]
    in_place = [
        np.shares_memory(tensor.numpy(), place)
        for number, tensors in zip(taken, given, strict=True)
        for tensor, place in zip(tensors, kept.places(number, shapes), strict=True)
    ]
    assert in_place == [True, True] * slots.LENT + [False, False]
    assert kept.take() == taken[-1]  # it was copied, and the others are not free
    for number, tensors in zip(taken, given, strict=True):
        assert [tensor.shape for tensor in tensors] == shapes
        assert all((tensor == number + 1).all() for tensor in tensors)
    row = given[0][0][1]
    given[0].clear()
    with pytest.raises(IndexError):
        kept.take()
    assert (row == taken[0] + 1).all()
    del row, tensors
    assert kept.take() == taken[0]


def test_leaving_early_ends_the_workers(scenes):
    made = eval_batches(scenes(count=40), batch_size=2, workers=2)
    next(made)
    assert len(multiprocessing.active_children()) == 2
    made.close()
    assert multiprocessing.active_children() == []
    assert loader.PREFETCHED == 2  # of which the number of slots is made
