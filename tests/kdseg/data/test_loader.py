from __future__ import annotations

import gc
import itertools
import multiprocessing
import pickle
import random
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.data.augment import Augmentation
from kdseg.data.batches import BatchMaker, Feed
from kdseg.data.loader import eval_batches, read_in_workers, steps_per_epoch, train_steps
from kdseg.data.samples import IGNORE_INDEX
from kdseg.errors import KdsegError, Problem, ProblemsError

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create .* worker processes:UserWarning"),  # on one core
]

CHAIN = [("RandomCrop", {"height": 16, "width": 16}), ("HorizontalFlip", {}), ("GaussNoise", {})]


def steps(samples, **changes):
    settings = {"seed": 7, "batch_size": 4, "micro_batches": 1, "last_step": 6, "workers": 0, "augmentation": None}
    return train_steps(samples, **(settings | changes))


def ids(step):
    return [name for batch in step for name in batch.ids]


def content(step):
    return [(batch.images.numpy().tobytes(), batch.masks.numpy().tobytes(), batch.ids) for batch in step]


def children():
    return {child.pid for child in multiprocessing.active_children()}


def test_an_epoch_holds_each_sample_at_most_once_and_epochs_differ(scenes):
    epochs = [
        [name for step in steps(scenes(count=11), first_step=epoch * 2, last_step=epoch * 2 + 2) for name in ids(step)]
        for epoch in range(20)
    ]
    assert all(len(epoch) == len(set(epoch)) == 8 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 20
    assert {name for epoch in epochs for name in epoch} == {f"scene{index}" for index in range(11)}


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(24, 60),
    world=st.sampled_from([1, 2, 3]),
    micro_batches=st.sampled_from([1, 2, 4]),
    first=st.integers(0, 7),
    seed=st.integers(0, 5),
)
def test_processes_micro_batches_and_resumption_see_one_and_the_same_run(
    scenes_by_id, count, world, micro_batches, first, seed
):
    whole = [ids(step) for step in steps(scenes_by_id(count), seed=seed, batch_size=24, last_step=8)]
    ranks = [
        list(
            steps(
                scenes_by_id(count),
                seed=seed,
                batch_size=24,
                last_step=8,
                first_step=first,
                world=world,
                rank=rank,
                micro_batches=micro_batches,
            )
        )
        for rank in range(world)
    ]
    assert all(len(rank) == 8 - first for rank in ranks)
    for number, shares in enumerate(zip(*ranks, strict=True), start=first):
        assert all(len(share) == micro_batches for share in shares)
        assert {len(batch.ids) for share in shares for batch in share} == {24 // (world * micro_batches)}
        assert [name for share in shares for name in ids(share)] == whole[number]


@pytest.fixture(scope="module")
def scenes_by_id():
    from attrs import frozen

    from kdseg.data.samples import Sample

    @frozen
    class Blank:
        count: int

        def __len__(self):
            return self.count

        def __getitem__(self, index):
            return Sample(image=np.zeros((1, 1, 3), np.uint8), mask=np.zeros((1, 1), np.uint8), id=f"blank{index}")

    return Blank


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_no_byte(scenes, workers):
    samples, augmentation = scenes(count=9, unlabelled=(3,)), Augmentation(CHAIN, seed=7)
    alone = [content(step) for step in steps(samples, augmentation=augmentation, micro_batches=2)]
    shared = [content(step) for step in steps(samples, augmentation=augmentation, micro_batches=2, workers=workers)]
    assert alone == shared
    resumed = steps(samples, augmentation=augmentation, micro_batches=2, workers=workers, first_step=3)
    assert [content(step) for step in resumed] == alone[3:]


def test_batches_are_the_samples(scenes):
    samples = scenes(count=8, unlabelled=(3,))
    seen = set()
    for batch in itertools.chain.from_iterable(steps(samples, last_step=2)):
        assert batch.images.shape == (4, 24, 32, 3)
        assert batch.masks.shape == (4, 24, 32)
        assert batch.images.dtype == batch.masks.dtype == torch.uint8
        for image, mask, name in zip(batch.images, batch.masks, batch.ids, strict=True):
            index = int(name.removeprefix("scene"))
            seen.add(index)
            assert np.array_equal(image, samples[index].image)
            if index == 3:
                assert (mask == IGNORE_INDEX).all()
            else:
                assert np.array_equal(mask, samples[index].mask)
    assert seen == set(range(8))


def test_augmentation_follows_from_epoch_and_index_alone(scenes):
    """A sample's augmented bytes are what the augmentation gives for it, whichever batch it lies in."""
    samples, augmentation = scenes(count=5), Augmentation(CHAIN, seed=7)
    for step, batches in enumerate(steps(samples, augmentation=augmentation, batch_size=2)):
        for image, name in zip(batches[0].images, batches[0].ids, strict=True):
            index = int(name.removeprefix("scene"))
            assert np.array_equal(image, augmentation(samples[index], step // 2, index).image)


@pytest.mark.parametrize(
    ("count", "world", "workers"), [*itertools.product([1, 2, 7], [1, 2, 3], [0]), (7, 2, 1), (7, 2, 2)]
)
def test_evaluation_sees_each_sample_once_in_order(scenes, count, world, workers):
    seen = []
    for rank in range(world):
        batches = list(eval_batches(scenes(count=count), batch_size=2, rank=rank, world=world, workers=workers))
        mine = ids(batches)
        assert mine == [f"scene{index}" for index in range(rank, count, world)]
        assert [len(batch.ids) for batch in batches[:-1]] == [2] * (len(batches) - 1)
        seen += mine
    assert sorted(seen) == sorted(f"scene{index}" for index in range(count))


def test_steps_per_epoch():
    assert [steps_per_epoch(count, 4) for count in (4, 7, 8)] == [1, 1, 2]
    with pytest.raises(KdsegError, match=r"has 3 samples, fewer than train\.batch_size = 4"):
        steps_per_epoch(3, 4)
    with pytest.raises(KdsegError, match="no samples"):
        steps_per_epoch(0, 4)


def test_mistakes_are_told_at_once_not_when_iterating(scenes):
    with pytest.raises(KdsegError, match=r"has 3 samples, fewer than train\.batch_size = 4"):
        steps(scenes(count=3))
    with pytest.raises(KdsegError, match=r"batch_size = 4 cannot be shared equally by 3 processes .* multiple of 6"):
        steps(scenes(count=9), world=3, micro_batches=2)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_sample_arrives_as_the_plain_error(scenes, workers):
    iterator = eval_batches(scenes(count=6, broken=(4,)), batch_size=2, workers=workers)
    assert [next(iterator).ids, next(iterator).ids] == [("scene0", "scene1"), ("scene2", "scene3")]
    with pytest.raises(KdsegError) as caught:
        next(iterator)
    assert str(caught.value) == "scene4.png cannot be read"
    assert "conftest.py" in caught.value.__notes__[0]
    if workers:
        assert not children()


@pytest.mark.parametrize("workers", [0, 1])
def test_several_problems_arrive_as_they_were(workers):
    def make(_key):
        raise ProblemsError([Problem(message="one"), Problem(message="two")])

    with pytest.raises(KdsegError) as caught:
        list(read_in_workers(make, [0], workers))
    assert str(caught.value) == "one\ntwo"


@pytest.mark.parametrize("workers", [0, 1])
def test_different_sizes_in_a_batch_are_told_with_the_mend(scenes, workers):
    samples = scenes(count=4, larger=(2,))
    with pytest.raises(KdsegError) as caught:
        list(eval_batches(samples, batch_size=3, workers=workers))
    message = str(caught.value)
    assert "scene0 is 24x32, scene2 is 48x64" in message
    assert "data.augment" in message
    assert "evaluate.batch_size = 1" in message
    assert len(list(eval_batches(samples, batch_size=1, workers=workers))) == 4


@pytest.mark.parametrize("leave", ["close", "forget"])
def test_an_unfinished_iterator_leaves_no_worker(scenes, leave):
    before = children()
    iterator = steps(scenes(count=40), workers=2, last_step=1000)
    next(iterator)
    assert len(children() - before) == 2
    start = time.perf_counter()
    if leave == "close":
        iterator.close()
    else:
        del iterator
        gc.collect()
    assert children() == before
    assert time.perf_counter() - start < 4


def test_the_global_generators_are_left_alone(scenes):
    torch.manual_seed(3)
    random.seed(3)
    expected = torch.rand(3), random.random(), np.random.get_state()[1].tolist()  # noqa: NPY002 (it is what is watched)
    torch.manual_seed(3)
    random.seed(3)
    for workers in (0, 1):
        list(steps(scenes(count=4), last_step=2, workers=workers, augmentation=Augmentation(CHAIN, seed=0)))
    assert torch.equal(torch.rand(3), expected[0])
    assert random.random() == expected[1]
    assert np.random.get_state()[1].tolist() == expected[2]  # noqa: NPY002 (likewise)


def test_what_goes_to_a_worker_can_be_pickled(scenes):
    """It must be where Python starts processes afresh."""
    samples = [scenes(count=2)[index] for index in range(2)]
    maker = BatchMaker([Feed(samples=samples, augmentation=Augmentation(CHAIN, seed=1))])
    keys = [(0, 0, 0), (0, 3, 1)]
    assert content([pickle.loads(pickle.dumps(maker))(keys)]) == content([maker(keys)])


def test_it_works_after_torch_ran_threads_and_exits_cleanly():
    """Forked workers must neither hang nor complain after OpenMP threads ran in the parent."""
    code = """
import numpy as np, torch
from kdseg.data.augment import Augmentation
from kdseg.data.loader import train_steps
from kdseg.data.samples import Sample
torch.set_num_threads(2)
for _ in range(3):
    torch.randn(512, 512, requires_grad=True).mm(torch.randn(512, 512)).sum().backward()
class Blank:
    def __len__(self): return 8
    def __getitem__(self, index):
        return Sample(image=np.zeros((64, 64, 3), np.uint8), mask=np.zeros((64, 64), np.uint8), id=str(index))
chain = [("RandomScale", {}), ("RandomCrop", {"height": 32, "width": 32}), ("GaussianBlur", {"p": 1.0})]
steps = train_steps(Blank(), Augmentation(chain, 0), seed=0, batch_size=4, micro_batches=1, last_step=100, workers=2)
for number, step in enumerate(steps):
    torch.randn(256, 256).mm(torch.randn(256, 256))
    if number == 20:
        break
"""
    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")


def test_batches_move_to_a_device(scenes):
    batch = next(steps(scenes(count=4)))[0].to(torch.device("meta"))
    assert batch.images.device.type == batch.masks.device.type == "meta"
    assert len(batch.ids) == 4
