"""CamVid from its files, and what is wrong with them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from kdseg.components import DatasetContext
from kdseg.data.samples import IGNORE_INDEX
from kdseg.data.scan import scan
from kdseg.errors import KdsegError
from kdseg_road import CamVid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kdseg.data.samples import Samples

CTX = DatasetContext(split="train", seed=0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two images in the release's layout, with a readme as the release has beside them."""
    generator = np.random.default_rng(0)
    for folder in ("train", "trainannot"):
        (tmp_path / folder).mkdir()
    for name in ("0001TP_006690.png", "0001TP_006720.png"):
        cv2.imwrite(str(tmp_path / "train" / name), generator.integers(0, 256, (36, 48, 3), np.uint8))
        cv2.imwrite(str(tmp_path / "trainannot" / name), generator.integers(0, 12, (36, 48), np.uint8))
    (tmp_path / "train.txt").write_text("", encoding="utf-8")
    return tmp_path


def samples(root: Path) -> Samples:
    return CamVid(root=root).build(CTX)


def test_images_come_as_rgb_with_void_ignored(root: Path) -> None:
    found = samples(root)
    assert [found[index].id for index in range(len(found))] == ["0001TP_006690", "0001TP_006720"]
    for sample in (found[0], found[1]):
        image = cv2.imread(str(root / "train" / f"{sample.id}.png"))
        labels = cv2.imread(str(root / "trainannot" / f"{sample.id}.png"), cv2.IMREAD_GRAYSCALE)
        assert image is not None
        assert labels is not None
        assert (sample.image == image[..., ::-1]).all()
        assert sample.mask is not None
        assert (sample.mask[labels == 11] == IGNORE_INDEX).all()
        assert (sample.mask[labels < 11] == labels[labels < 11]).all()


def break_label(root: Path) -> None:
    cv2.imwrite(str(root / "trainannot" / "0001TP_006690.png"), np.full((36, 48), 12, np.uint8))


def break_colours(root: Path) -> None:
    cv2.imwrite(str(root / "trainannot" / "0001TP_006690.png"), np.zeros((36, 48, 3), np.uint8))


def break_depth(root: Path) -> None:
    cv2.imwrite(str(root / "trainannot" / "0001TP_006690.png"), np.zeros((36, 48), np.uint16))


def break_size(root: Path) -> None:
    cv2.imwrite(str(root / "trainannot" / "0001TP_006690.png"), np.zeros((36, 40), np.uint8))


def truncate(root: Path) -> None:
    file = root / "train" / "0001TP_006690.png"
    file.write_bytes(file.read_bytes()[:20])


def empty(root: Path) -> None:
    (root / "train" / "0001TP_006690.png").write_bytes(b"")


def lose_folder(root: Path) -> None:
    (root / "trainannot").rename(root / "annotations")


def empty_folder(root: Path) -> None:
    for file in (root / "train").glob("*.png"):
        file.rename(file.with_name(f".{file.name}"))  # what some archivers leave beside the real ones


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (break_label, r"trainannot.0001TP_006690\.png: holds the label 12; CamVid's go from 0 to 11"),
        (break_colours, r"trainannot.0001TP_006690\.png: is 8-bit RGB; a mask is a PNG of 8-bit grey"),
        (break_depth, r"trainannot.0001TP_006690\.png: is 16-bit grey; a mask is a PNG of 8-bit grey"),
        (break_size, r"trainannot.0001TP_006690\.png: is 36x40, its image 36x48"),
        (truncate, r"train.0001TP_006690\.png: is no image that can be decoded"),
        (empty, r"train.0001TP_006690\.png: is no image that can be decoded"),
        (empty_folder, r"train: holds no \*\.png or \*\.jpg or \*\.jpeg; camvid is"),
        (lose_folder, r"trainannot: there is no such folder; camvid is .* folders train, trainannot"),
    ],
)
def test_what_is_wrong_names_the_file(root: Path, damage: Callable[[Path], None], told: str) -> None:
    damage(root)
    with pytest.raises(KdsegError, match=told):
        _ = samples(root)[0]


@pytest.mark.parametrize(("lost", "left"), [("train", "trainannot"), ("trainannot", "train")])
def test_a_file_without_its_partner_is_a_defect_or_left_out(
    root: Path, lost: str, left: str, caplog: pytest.LogCaptureFixture
) -> None:
    (root / lost / "0001TP_006690.png").unlink()
    found = CamVid(root=root).build(CTX)
    what = "image" if lost == "train" else "mask"
    (defect,) = found.defects  # type: ignore[attr-defined]
    assert str(defect) == f"{root / left / '0001TP_006690.png'}: has no {what} 0001TP_006690.png"
    assert [found[index].id for index in range(len(found))] == ["0001TP_006720"]
    skipped = CamVid(root=root, unpaired="skip").build(CTX)
    assert len(skipped) == 1
    assert not skipped.defects  # type: ignore[attr-defined]
    assert str(defect.file) in caplog.text


def test_two_images_of_one_stem_are_a_defect_and_left_out(root: Path) -> None:
    cv2.imwrite(str(root / "train" / "0001TP_006690.jpg"), np.zeros((36, 48, 3), np.uint8))
    found = CamVid(root=root, unpaired="skip").build(CTX)
    (defect,) = found.defects  # type: ignore[attr-defined]
    assert {defect.file.name, defect.text.split("/")[-1].split(";")[0]} == {"0001TP_006690.jpg", "0001TP_006690.png"}
    assert [found[index].id for index in range(len(found))] == ["0001TP_006720"]


def test_the_folder_is_found_by_option_then_by_the_data_folder_then_by_its_own_variable(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KDSEG_DATA", raising=False)
    monkeypatch.setenv("KDSEG_CAMVID", str(root))
    assert len(CamVid().build(CTX)) == 2
    data = tmp_path_factory.mktemp("data")
    (data / "camvid").symlink_to(root)
    monkeypatch.setenv("KDSEG_CAMVID", str(data / "nowhere"))
    monkeypatch.setenv("KDSEG_DATA", str(data))
    assert len(CamVid().build(CTX)) == 2
    with pytest.raises(KdsegError, match=r"there is no folder at data\.dataset\.root = .*SegNet"):
        CamVid(root=data / "nowhere").build(CTX)
    monkeypatch.delenv("KDSEG_DATA")
    monkeypatch.setenv("KDSEG_CAMVID", "")
    with pytest.raises(KdsegError, match=r"set the option root, \$KDSEG_DATA .* or \$KDSEG_CAMVID"):
        CamVid().build(CTX)


@pytest.mark.skipif(not os.environ.get("KDSEG_CAMVID"), reason="KDSEG_CAMVID names no folder with the real images")
def test_the_real_images_hold_what_was_counted_of_them() -> None:
    """Shares of the train split, in percent of labelled pixels, counted independently of this code."""
    shares = {
        "sky": 17.54, "building": 24.21, "pole": 1.02, "road": 32.96, "pavement": 4.67, "tree": 10.12,
        "sign symbol": 1.22, "fence": 1.17, "car": 6.11, "pedestrian": 0.67, "bicyclist": 0.30,
    }  # fmt: skip
    train = CamVid().build(CTX)
    val = CamVid().build(DatasetContext(split="val", seed=0))
    assert (len(train), len(val)) == (367, 101)
    assert train[0].image.shape == (360, 480, 3)
    names = CamVid().class_table().names
    counted = scan(train, len(names)).shares().pixels
    found = {name: 100 * pixels / sum(counted) for name, pixels in zip(names, counted, strict=True)}
    assert found == pytest.approx(shares, abs=0.006)
