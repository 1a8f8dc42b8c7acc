"""Scans are kept, and made again for what changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, ClassVar

import cv2
import numpy as np
import pytest
from attrs import frozen

from kdseg.components import Dataset, DatasetContext
from kdseg.data.resample import resampled
from kdseg.data.samples import ClassTable, Sample
from kdseg.data.scan import scan
from kdseg.engine.splits.scans import scan_split
from kdseg.engine.splits.stamps import Split
from kdseg.errors import KdsegError
from kdseg.plugins import load_plugins
from kdseg.registry import Entry, Registry

CLASSES = ClassTable(names=("a", "b", "c"), colours=((1, 1, 1), (2, 2, 2), (3, 3, 3)))
READ = []
"""What was read, in order."""


@frozen(eq=False)
class PngSamples:
    files: tuple[tuple[Path, ...], ...]
    defects = ()

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        (file,) = self.files[index]
        READ.append(file.name)
        mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED) if file.exists() else None
        if mask is None:
            raise KdsegError(f"{file}: is no image")
        return Sample(image=np.zeros((*mask.shape, 3), np.uint8), mask=mask, id=file.stem)


@frozen(kw_only=True)
class Pngs(Dataset):
    """Masks in a folder."""

    name: ClassVar[str] = "pngs"
    root: Annotated[Path, "the folder"]

    def build(self, ctx):
        return PngSamples(tuple((file,) for file in sorted(self.root.glob("*.png"))))

    def class_table(self):
        return CLASSES


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("KDSEG_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(6):
        write(folder / f"{number}.png", number)
    READ.clear()
    return folder


def write(file, seed):
    mask = np.random.default_rng(seed).integers(0, 3, (8, 12), dtype=np.uint8)
    cv2.imwrite(str(file), mask)


@pytest.fixture
def registry():
    kind = next(entry.kind for entry in load_plugins().registry.of_kind("dataset"))
    entry = Entry(kind=kind, name="pngs", cls=Pngs, plugin="pngs", distribution="tests", version="1")
    return Registry(entries=(entry,))


@pytest.fixture
def scanned(root, registry):
    """Scan the folder as it is, hold it against a fresh scan, and give what was read for it."""

    def scanned():
        READ.clear()
        dataset = Pngs(root=root)
        samples = dataset.build(DatasetContext(split="train", seed=0))
        split = Split(name="train", dataset=dataset, samples=samples, num_classes=3)
        found, read = scan_split(split, registry, workers=0), [*READ]
        fresh = scan(samples, 3)
        for name in ("sizes", "pixels", "boundary"):
            np.testing.assert_array_equal(getattr(found, name), getattr(fresh, name))
        assert found.defects == fresh.defects
        return read

    return scanned


def test_what_is_known_is_not_read_again(scanned):
    assert len(scanned()) == 6
    assert scanned() == []


@pytest.mark.parametrize("change", ["content", "time", "defect", "mended"])
def test_a_changed_file_is_read_again(scanned, root, change):
    if change == "mended":
        (root / "3.png").write_bytes(b"broken")
    scanned()
    if change == "time":
        os.utime(root / "3.png", ns=(1, 1))
    elif change == "defect":
        (root / "3.png").write_bytes(b"broken")
    else:
        write(root / "3.png", 77)
    assert scanned() == ["3.png"]
    assert scanned() == []


def test_files_that_come_and_go_shift_nothing(scanned, root):
    scanned()
    (root / "1.png").unlink()
    write(root / "00.png", 5)
    assert scanned() == ["00.png"]
    assert scanned() == []


def test_parts_of_a_split_share_what_is_known_of_it(root, registry):
    """One that holds a file several times has a row for each."""
    dataset = Pngs(root=root)
    whole = dataset.build(DatasetContext(split="train", seed=0))
    for indices in ([4, 1, 4], [0, 2], [5, 3]):
        samples = resampled(whole, np.array(indices))
        split = Split(name="train", dataset=dataset, samples=samples, num_classes=3)
        found, fresh = scan_split(split, registry, workers=0), scan(samples, 3)
        np.testing.assert_array_equal(found.pixels, fresh.pixels)
        np.testing.assert_array_equal(found.sizes, fresh.sizes)
    assert len(READ) == 6 + 3 + 2 + 2  # all of them once, and those of the fresh scans


@pytest.mark.parametrize("damage", [b"", b"no archive", None])
def test_a_kept_scan_that_cannot_be_read_is_made_again(scanned, root, caplog, damage):
    scanned()
    (kept,) = (root.parent / "cache" / "scans").iterdir()
    kept.write_bytes(kept.read_bytes()[:-40] if damage is None else damage)
    assert len(scanned()) == 6
    assert "the images are read again" in caplog.text
    assert scanned() == []


def test_where_nothing_can_be_kept_it_is_told_and_the_scan_goes_on(scanned, root, monkeypatch, caplog):
    (root.parent / "file").touch()
    monkeypatch.setenv("KDSEG_CACHE", str(root.parent / "file"))
    assert len(scanned()) == 6
    assert "the next run reads the images again" in caplog.text
