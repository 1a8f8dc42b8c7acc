"""Training sets drawn from a split."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from attrs import frozen
from hypothesis import assume, given
from hypothesis import strategies as st

from kdseg.data.resample import resample, resampled
from kdseg.data.samples import Defect
from kdseg.errors import OptionError

counts = st.integers(1, 300)
seeds = st.integers(0, 2**63)
blocks = st.integers(1, 40)


@given(count=counts, seed=seeds, trials=st.integers(2, 20), block=blocks)
def test_disjoint_parts_together_are_the_split(count, seed, trials, block):
    assume(-(-count // block) >= trials)
    parts = [
        resample(count, seed=seed, method="disjoint", trial=trial, trials=trials, block=block)
        for trial in range(trials)
    ]
    assert sorted(np.concatenate(parts).tolist()) == list(range(count))
    sizes = [len(part) for part in parts]
    assert min(sizes) > 0
    assert max(sizes) - min(sizes) <= block
    for part in parts:  # each block of the split is in it as a whole, or not at all
        whole = {index for number in {*(part // block).tolist()} for index in range(number * block, count)[:block]}
        assert part.tolist() == sorted(whole)


@given(count=counts, seed=seeds, block=st.integers(2, 40), trial=st.integers(0, 9))
def test_blocks_are_runs_of_neighbours(count, seed, block, trial):
    assume(block <= count)
    found = resample(count, seed=seed, method="blocks", trial=trial, trials=10, block=block)
    assert len(found) == count
    assert 0 <= found.min() <= found.max() < count
    for first in range(0, count, block):
        assert set(np.diff(found[first : first + block])) <= {1}


def test_blocks_may_begin_anywhere():
    starts = {
        int(index)
        for trial in range(40)
        for index in resample(12, seed=0, method="blocks", trial=trial, trials=40, block=5)[::5]
    }
    assert starts == set(range(8))


@pytest.mark.parametrize("trial", range(5))
def test_a_bootstrap_leaves_out_as_many_images_as_it_must(trial):
    """An image is drawn with the probability 1 - (1 - 1/n)**n, which goes to 1 - 1/e."""
    count = 20_000
    found = resample(count, seed=4, method="bootstrap", trial=trial, trials=5)
    assert len(found) == count
    assert 0 <= found.min() <= found.max() < count
    missed = (1 - 1 / count) ** count
    # Occupancy: the number of images never drawn has the variance n q + n (n-1) (1 - 2/n)^n - n² q².
    variance = count * missed + count * (count - 1) * (1 - 2 / count) ** count - (count * missed) ** 2
    assert abs(len(set(found.tolist())) - count * (1 - missed)) < 5 * math.sqrt(variance)
    assert abs(len(set(found.tolist())) / count - (1 - 1 / math.e)) < 0.01


@pytest.mark.parametrize(("method", "block"), [("disjoint", 1), ("disjoint", 3), ("bootstrap", 1), ("blocks", 3)])
def test_they_follow_from_seed_and_trial(method, block):
    def found(seed, trial):
        return resample(60, seed=seed, method=method, trial=trial, trials=4, block=block).tolist()

    drawn = [found(seed, trial) for seed in range(3) for trial in range(4)]
    assert drawn == [found(seed, trial) for seed in range(3) for trial in range(4)]
    assert len({tuple(one) for one in drawn}) == 12


def test_draws_do_not_depend_on_how_many_trials_there_are():
    for method, block in (("bootstrap", 1), ("blocks", 4)):
        few, many = (
            resample(20, seed=1, method=method, trial=2, trials=trials, block=block).tolist() for trials in (3, 9)
        )
        assert few == many


def test_what_a_split_cannot_give_is_told():
    with pytest.raises(OptionError, match="trials: must be 4 or less, as the training split has 10 images in 4 blocks"):
        resample(10, seed=0, method="disjoint", trial=0, trials=5, block=3)
    with pytest.raises(OptionError, match="trials: must be 3 or less, as the training split has 3 images: 4"):
        resample(3, seed=0, method="disjoint", trial=0, trials=4)
    with pytest.raises(OptionError, match="block: must be 3 or less, the images of the training split: 4"):
        resample(3, seed=0, method="blocks", trial=0, trials=1, block=4)


def test_an_empty_split_has_empty_bootstraps():
    assert not len(resample(0, seed=0, method="bootstrap", trial=0, trials=1))


def test_its_samples_are_those_of_the_split_under_ids_that_are_unique(scenes):
    whole = scenes(count=6)
    found = resampled(whole, np.array([4, 1, 4, 4, 0]))
    assert [sample.id for sample in found] == ["scene4", "scene1", "scene4 (draw 2)", "scene4 (draw 3)", "scene0"]
    assert len(found) == 5
    for sample, index in zip(found, (4, 1, 4, 4, 0), strict=True):
        np.testing.assert_array_equal(sample.image, whole[index].image)
        np.testing.assert_array_equal(sample.mask, whole[index].mask)
    assert pickle.loads(pickle.dumps(found))[2].id == "scene4 (draw 2)"
    assert not hasattr(found, "files")


def test_a_pickle_holds_no_more_than_the_split_and_the_indices(scenes):
    whole = scenes(count=6)
    assert len(pickle.dumps(resampled(whole, np.arange(1000) % 6))) < len(pickle.dumps(whole)) + 8 * 1000 + 1000


@frozen
class Listed:
    files: tuple[tuple[Path, ...], ...]
    defects: tuple[Defect, ...]

    def __len__(self):
        return len(self.files)


def test_samples_in_files_still_tell_so():
    files = tuple((Path(f"{number}.png"),) for number in range(4))
    defects = (Defect(Path("lost.png"), "has no mask"),)
    found = resampled(Listed(files, defects), np.array([3, 0, 3]))
    assert list(found.files) == [files[3], files[0], files[3]]
    assert found.defects == defects
