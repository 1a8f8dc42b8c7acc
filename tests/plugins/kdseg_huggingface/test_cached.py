"""The dataset `huggingface` by a name: what the library's caches hold of it, without a network."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from drawn_folder import indices_of

from kdseg import DatasetContext, KdsegError
from kdseg_huggingface import HuggingFace

kept = pytest.importorskip("hugging_face", reason="the extra huggingface is not installed")

COMMIT = "0123456789" * 4


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    """Empty caches, a library that may fetch, and no network."""

    def no_network(*_args, **_kwargs):
        raise AssertionError("something looks for a server")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    return tmp_path


def fetched(caches, name="owner/Drawn", folders=("data",), first=0):
    """Lay out what `hf download` leaves: a snapshot of links to blobs, and where the branch stands."""
    place = caches / "hub" / f"datasets--{name.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "blobs").mkdir()
    (place / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    for folder in folders:
        for number, split in enumerate(("train", "validation")):
            blob = place / "blobs" / f"{folder}-{split}"
            kept.rows(first + 10 * number).to_parquet(str(blob))
            link = place / "snapshots" / COMMIT / folder / f"{split}-00000-of-00001.parquet"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(blob)
    (place / "snapshots" / COMMIT / "drawn.py").write_text("raise SystemExit('a script ran')", encoding="utf-8")


def prepared(caches, name="owner/Drawn", config="default", first=0):
    """Have the library prepare a dataset of that name, as `load_dataset` does of what it fetched."""
    from datasets.packaged_modules.parquet.parquet import Parquet

    files = {}
    for number, split in enumerate(("train", "validation")):
        files[split] = [str(caches / f"{config}-{split}.parquet")]
        kept.rows(first + 10 * number).to_parquet(files[split][0])
    options = {"config_name": config, "dataset_name": name.split("/")[-1], "repo_id": name, "hash": "abc"}
    builder = Parquet(cache_dir=str(caches / "datasets"), **options)
    builder.config.data_files = kept.datasets.data_files.DataFilesDict.from_patterns(files)
    builder.download_and_prepare()


def opened(split="train", repo="owner/Drawn", **options):
    dataset = HuggingFace(repo=repo, classes=("ground", "wall", "car"), **options)
    return dataset.build(DatasetContext(split=split, seed=0))


def assert_holds(samples, first):
    assert len(samples) == 4
    assert all(np.array_equal(samples[n].mask, indices_of(first + n)) for n in range(4))


def test_what_was_fetched_is_a_dataset(caches):
    fetched(caches)
    assert_holds(opened(), 0)
    assert_holds(opened("val"), 10)


def test_what_load_dataset_prepared_is_a_dataset_and_what_it_gives_itself(caches, monkeypatch):
    prepared(caches)
    assert_holds(opened(), 0)
    assert_holds(opened("val"), 10)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    theirs = kept.datasets.load_dataset("owner/Drawn", split="validation")
    assert theirs.data.column("mask")[0].as_py() == opened("val").rows[0]["mask"]


def test_what_is_prepared_is_taken_before_what_was_fetched_unless_files_are_named(caches):
    fetched(caches, first=20)
    prepared(caches)
    assert_holds(opened(), 0)
    assert_holds(opened(files="data/{split}-*.parquet"), 20)


def test_of_several_configurations_one_is_named(caches):
    fetched(caches, folders=("small", "large"))
    with pytest.raises(KdsegError, match=r"large, small have files of 'train'; config names one .*large/\{split\}-"):
        opened()
    assert_holds(opened(config="small"), 0)
    prepared(caches, config="other", first=30)
    prepared(caches, config="third", first=40)
    with pytest.raises(KdsegError, match=r'owner/Drawn: is prepared as other, third; say which: config = "other"'):
        opened()
    assert_holds(opened(config="third"), 40)
    assert_holds(opened(config="small"), 0)


def test_a_name_without_owner_will_do(caches):
    prepared(caches, name="drawn")
    assert_holds(opened(repo="drawn"), 0)


def test_what_is_not_cached_is_told_with_the_line_that_fetches_it(caches):
    with pytest.raises(KdsegError, match=r"^owner/Drawn: is not in .*hub, .*hf download --repo-type dataset owner/Dr"):
        opened()


def test_a_split_that_is_not_there_is_told(caches):
    prepared(caches)
    with pytest.raises(KdsegError, match=r"^owner/Drawn: no split is called 'test', .* it has train, validation"):
        opened("test")
    assert_holds(opened("test", split_names={"test": "validation"}), 10)
    fetched(caches, name="other")
    with pytest.raises(KdsegError, match=r"no split is called 'test', .* no file fits files = "):
        opened("test", repo="other")


def test_a_damaged_cache_is_told(caches):
    prepared(caches)
    (arrow,) = caches.glob("datasets/*/*/*/*/*-train.arrow")
    arrow.unlink()
    with pytest.raises(KdsegError, match="the library cannot open what it prepared of owner/Drawn"):
        opened()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "root or repo must say where the dataset is"),
        ({"root": ".", "repo": "a/b"}, "root or repo must say where the dataset is"),
        ({"root": ".", "config": "x"}, "config is one of the configurations of repo"),
        ({"repo": "a/b", "config": "x", "files": "{split}.parquet"}, "config is one of the configurations of repo"),
        ({"repo": "../a"}, r"'\.\./a' is no dataset's name"),
        ({"repo": "a/b/c"}, "is no dataset's name, as owner/name is; for a folder say root"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        HuggingFace(**options)
