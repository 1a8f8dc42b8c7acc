"""Runs from raw arrays end as runs from the files do, whoever made the arrays and whatever happened meanwhile."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time

import cv2
import numpy as np
import pytest
from attrs import evolve

import kdseg.data.store
from kdseg.data.image_samples import ImageSamples
from kdseg.engine.check.phases import check
from kdseg.engine.splits import stores
from kdseg.errors import KdsegError

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

RECIPE = """
[data]
dataset = { use = "camvid", root = "roads" }
augment = [{ use = "RandomCrop", height = 32, width = 32 }, { use = "HorizontalFlip", p = 0.5 }]
[models.student]
backbone = { use = "tiny", norm = "batch" }
[terms.labels]
learner = "student"
loss = "cross_entropy"
[evaluate]
batch_size = 1
every = 4
unit = "step"
"""
IMAGES = 6


@pytest.fixture(autouse=True)
def cache(folder, monkeypatch):
    """Images of several sizes, a cache of the test's own, and a folder in the place of the shared memory."""
    monkeypatch.setenv("KDSEG_CACHE", str(folder / "cache"))
    (folder / "shm").mkdir()
    monkeypatch.setattr(stores, "SHARED_MEMORY", folder / "shm")
    for number in range(IMAGES):
        for split in ("train", "val"):
            write(folder, split, number)
    return folder


def write(folder, split, number, seed=0):
    numbers = np.random.default_rng([number, seed])
    size = (40 + number, 48 + 3 * number)
    for name, shape, highest in ((split, (*size, 3), 256), (f"{split}annot", size, 12)):
        (folder / "roads" / name).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"roads/{name}/{number}.png"), numbers.integers(0, highest, shape, dtype=np.uint8))


def kept(folder):
    """The files of both stores, by what they are."""
    files = [file for place in ("cache/store", "shm") for file in (folder / place).rglob("*") if file.is_file()]
    return sorted(file.suffix for file in files if file.suffix != ".lock")


@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_from_raw_arrays_is_the_run_from_the_files(folder, train, contents, where, workers):
    plain = contents(train(RECIPE).folder)
    made = train(RECIPE, f"data.store={where}", f"train.workers={workers}", name="made")
    again = train(RECIPE, f"data.store={where}", f"train.workers={workers}", name="again")
    assert contents(made.folder) == contents(again.folder) == plain
    assert kept(folder) == ([".raw", ".raw"] if where == "disk" else [])
    assert where == "disk" or not any((folder / "shm").iterdir())


def test_the_whole_split_is_kept_for_all_trials(folder, train, contents):
    for trial in range(2):
        setting = f"data.resample={{ method = 'bootstrap', trial = {trial}, trials = 2 }}"
        plain = contents(train(RECIPE, setting, name=f"plain{trial}").folder)
        assert contents(train(RECIPE, setting, "data.store=disk", name=f"stored{trial}").folder) == plain
    assert kept(folder) == [".raw", ".raw"]


def test_images_without_labels_are_kept_too(folder, train, contents):
    """And an image that is damaged is told of before anything is trained."""
    shutil.copytree(folder / "roads", folder / "frames")
    dataset = '{ use = "camvid", root = "frames" }'
    recipe = RECIPE.replace("augment", f"unlabelled = {{ dataset = {dataset}, share = 0.5 }}\naugment")
    plain = contents(train(recipe).folder)
    assert contents(train(recipe, "data.store=disk", name="stored").folder) == plain
    assert kept(folder) == [".raw"] * 3
    (folder / "frames/train/5.png").write_bytes(b"nothing")
    with pytest.raises(KdsegError, match=r"data\.unlabelled\.dataset: .*frames/train/5\.png: is no image"):
        train(recipe)


def test_it_is_read_and_the_files_are_not(folder, train, monkeypatch):
    train(RECIPE, "data.store=disk", name="first")
    read = []
    plain = kdseg.data.store.StoredSamples.__getitem__
    monkeypatch.setattr(
        kdseg.data.store.StoredSamples, "__getitem__", lambda self, index: read.append(index) or plain(self, index)
    )
    monkeypatch.setattr(kdseg.data.store._Writer, "__call__", lambda *_: pytest.fail("made again"))
    train(RECIPE, "data.store=disk", name="second")
    assert len(read) >= 8 * 4 + 2 * IMAGES


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_processes_share_it(folder, train, processes, assert_same, weights, where):
    settings = ("train.workers=1", "evaluate.every=100")
    wanted = processes(2, RECIPE, *settings, name="plain")
    found = processes(2, RECIPE, f"data.store={where}", *settings, name="stored")
    assert_same(weights(found, "student"), weights(wanted, "student"))
    assert kept(folder) == ([".raw", ".raw"] if where == "disk" else [])


@pytest.mark.parametrize("change", ["content", "new", "gone"])
def test_files_that_change_are_noticed(folder, train, contents, change):
    train(RECIPE, "data.store=disk", name="first")
    if change == "gone":
        for name in ("train", "trainannot"):
            (folder / f"roads/{name}/2.png").unlink()
    else:
        write(folder, "train", 2 if change == "content" else IMAGES, seed=1)
    found = train(RECIPE, "data.store=disk", name="second")
    assert contents(found.folder) == contents(train(RECIPE).folder)
    assert kept(folder) == [".raw", ".raw"]  # what nobody needs any more is gone


@pytest.fixture
def opened(load):
    """Do something while a run has its raw arrays."""

    def opened(where, do=lambda checked: None, name="recipe"):
        with stores.raw_samples(check(load(RECIPE, f"data.store={where}", name=name))) as checked:
            do(checked)

    return opened


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_what_a_killed_process_left_is_made_again(folder, opened, in_child, train, contents, monkeypatch, where):
    def killed():
        write_one = kdseg.data.store._Writer.__call__

        def write(self, index):
            if index == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return write_one(self, index)

        kdseg.data.store._Writer.__call__ = write
        opened(where)

    assert in_child(killed) == -signal.SIGKILL
    assert kept(folder) == [".draft"]
    found = train(RECIPE, f"data.store={where}", name="next")
    assert contents(found.folder) == contents(train(RECIPE).folder)
    assert kept(folder) == ([".raw", ".raw"] if where == "disk" else [])


def test_memory_is_free_after_a_kill_at_the_next_start_of_any_run(folder, opened, in_child, train):
    assert in_child(lambda: opened("memory", lambda _: os.kill(os.getpid(), signal.SIGKILL))) == -signal.SIGKILL
    assert kept(folder) == [".raw", ".raw"]
    train(RECIPE)
    assert not any((folder / "shm").iterdir())


def test_what_another_run_uses_stays(folder, opened, train):
    opened("memory", lambda _: train(RECIPE, "data.store=memory", name="other"))
    assert not any((folder / "shm").iterdir())

    def other_run(checked):
        train(RECIPE, "data.store=memory", name="other")
        assert kept(folder) == [".raw", ".raw"]
        assert checked.train[0].image.any()

    opened("memory", other_run)


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_two_that_start_at_once_make_it_once(folder, opened, together, where):
    """Each leaves a line for what it makes, slowly, so that the other comes in between."""

    def starter():
        make = stores._make

        def slowly(*args):
            with (folder / "made.txt").open("a") as file:
                file.write("made\n")
            time.sleep(0.5)
            make(*args)

        stores._make = slowly
        for _ in range(2):
            opened(where, lambda checked: time.sleep(0.5), name=f"recipe{os.getpid()}")

    assert together(2, starter) == [0, 0]
    made = (folder / "made.txt").read_text().count("made")
    assert made == 2 if where == "disk" else 2 <= made <= 4


def test_the_folder_is_made_and_removed_by_several_at_once(folder, together):
    """Whoever finds it empty removes it, at any moment of another's work."""

    def starter():
        place = folder / "shm" / "store"
        for _ in range(2000):
            with stores._locked(place / f"{'a' * stores.PLACE}.lock", "train"):
                pass
            stores._remove_unused(place, "*")

    assert together(3, starter) == [0, 0, 0]


def test_too_little_room_is_told_before_anything_is_written(folder, train, monkeypatch):
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    for where, place in (("memory", "memory"), ("disk", "cache/store")):
        told = rf'data.store = "{where}": the train split takes 0.00 GB as raw arrays, and 0.00 GB are free in {place}'
        with pytest.raises(KdsegError, match=told):
            train(RECIPE, f"data.store={where}")
    assert kept(folder) == []
    assert not (folder / "runs").exists()


def test_a_disk_that_fills_meanwhile_is_told(folder, train, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(KdsegError, match=r'data.store = "disk": .*No space left on device'):
        train(RECIPE, "data.store=disk")
    assert kept(folder) == []


def test_samples_that_lie_in_no_files_are_told(train, caplog):
    squares = RECIPE.replace('{ use = "camvid", root = "roads" }', '"squares"')
    train(squares, "data.store=memory")
    for split in ("train", "val"):
        assert (
            f"data.store: the {split} split does not lie in files; its samples are made anew each time" in caplog.text
        )


def test_a_split_with_more_than_images_and_masks_is_read_from_its_files(folder, train, contents, caplog, monkeypatch):
    plain = contents(train(RECIPE).folder)
    read = ImageSamples.__getitem__
    monkeypatch.setattr(
        ImageSamples,
        "__getitem__",
        lambda self, index: evolve(read(self, index), extras={"instances": 1} if "/val/" in str(self.files) else {}),
    )
    assert contents(train(RECIPE, "data.store=disk", name="stored").folder) == plain
    assert "the val split is read from its files each time: the store has no place for its instances" in caplog.text
    assert kept(folder) == [".raw"]


def test_without_shared_memory_it_is_told(folder, train, monkeypatch):
    monkeypatch.setattr(stores, "SHARED_MEMORY", folder / "nowhere")
    with pytest.raises(KdsegError, match=r'data.store = "memory" needs .*nowhere, which is not there'):
        train(RECIPE, "data.store=memory")
