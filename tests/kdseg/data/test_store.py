"""Samples as raw arrays: what comes back is what went in, and a crop costs no more than a crop."""

from __future__ import annotations

import pickle
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.data.augment import Augmentation
from kdseg.data.samples import Sample
from kdseg.data.store import PAGE, StoredSamples, stored_bytes, write_store
from kdseg.errors import KdsegError


@frozen
class Noise:
    sizes: tuple[tuple[int, int], ...]
    unlabelled: frozenset[int] = frozenset()
    extras: tuple[str, ...] = ()

    def __len__(self):
        return len(self.sizes)

    def __getitem__(self, index):
        numbers = np.random.default_rng(index)
        return Sample(
            image=numbers.integers(0, 256, (*self.sizes[index], 3), dtype=np.uint8),
            mask=None if index in self.unlabelled else numbers.integers(0, 256, self.sizes[index], dtype=np.uint8),
            id=f"road {index}, ÿ",
            extras=dict.fromkeys(self.extras, 1),
        )


def stored(path, samples, workers=0):
    write_store(path, samples, samples.sizes, workers=workers)
    return StoredSamples.of(path, [(Path(f"{index}.png"),) for index in range(len(samples))])


def assert_same_samples(found, wanted):
    assert len(found) == len(wanted)
    for one, other in ((found[index], wanted[index]) for index in range(len(wanted))):
        assert (one.id, one.extras) == (other.id, other.extras)
        assert one.image.dtype == np.uint8
        np.testing.assert_array_equal(one.image, other.image)
        assert (one.mask is None) == (other.mask is None)
        if one.mask is not None:
            np.testing.assert_array_equal(one.mask, other.mask)


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(1, 70), st.integers(1, 70)), min_size=1, max_size=6),
    st.frozensets(st.integers(0, 5)),
)
def test_samples_of_any_sizes_come_back(sizes, unlabelled):
    samples = Noise(tuple(sizes), unlabelled)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        found = stored(path, samples)
        assert_same_samples(found, samples)
        assert_same_samples(pickle.loads(pickle.dumps(found)), samples)
        assert stored_bytes(sizes) <= path.stat().st_size < stored_bytes(sizes) + PAGE
        with pytest.raises(IndexError):
            found[len(sizes)]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_workers_write_the_same_file(tmp_path):
    samples = Noise(((30, 40), (50, 20), (33, 33)))
    stored(tmp_path / "one", samples)
    stored(tmp_path / "two", samples, workers=2)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_nobody_can_write_to_what_all_share(tmp_path):
    sample = stored(tmp_path / "store", Noise(((32, 32),)))[0]
    for array in (sample.image, sample.mask):
        assert array.flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1


def test_a_crop_copies_no_more_than_itself(tmp_path):
    samples = Noise(((1024, 2048),))
    found = stored(tmp_path / "store", samples)
    crop = Augmentation([("RandomCrop", {"height": 64, "width": 64}), ("HorizontalFlip", {"p": 0.5})], seed=0)
    crop(found[0], 0, 0)
    tracemalloc.start()
    try:
        for epoch in range(8):
            wanted = crop(samples[0], epoch, 0)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            one = crop(found[0], epoch, 0)
            assert tracemalloc.get_traced_memory()[1] - before < 16 * 64 * 64 * 3
            np.testing.assert_array_equal(one.image, wanted.image)
            np.testing.assert_array_equal(one.mask, wanted.mask)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:100], lambda data: data + b"\n"])
def test_a_file_that_was_cut_short_is_told(tmp_path, damage):
    samples = Noise(((32, 32),))
    stored(tmp_path / "store", samples)
    (tmp_path / "store").write_bytes(damage((tmp_path / "store").read_bytes()))
    with pytest.raises(KdsegError, match="store: does not hold samples as raw arrays; remove it"):
        StoredSamples.of(tmp_path / "store", [()])


def test_what_has_no_place_is_told(tmp_path):
    with pytest.raises(KdsegError, match="road 0, ÿ: has instances, for which a store of raw arrays has no place"):
        stored(tmp_path / "store", Noise(((32, 32),), extras=("instances",)))
    with pytest.raises(KdsegError, match="road 0, ÿ: changed while it was read"):
        write_store(tmp_path / "store", Noise(((32, 32),)), [(32, 40)], workers=0)
