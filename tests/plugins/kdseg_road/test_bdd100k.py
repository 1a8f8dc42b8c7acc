"""BDD100K in both of its layouts, against what the tests wrote into it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from kdseg.components import DatasetContext
from kdseg.errors import KdsegError
from kdseg_road import BDD100K

if TYPE_CHECKING:
    from pathlib import Path

SPLITS = {"train": 3, "val": 2, "test": 2}
FOLDERS = {
    False: ("images/10k", "labels/sem_seg/masks", ".png"),
    True: ("seg/images", "seg/labels", "_train_id.png"),
}


@pytest.fixture(scope="module", params=[False, True], ids=["today", "older"])
def pristine(request, make_bdd100k, tmp_path_factory):
    root = tmp_path_factory.mktemp("bdd100k")
    return root, make_bdd100k(root, SPLITS, older=request.param), FOLDERS[request.param]


@pytest.fixture
def damaged(pristine, tmp_path):
    """A copy to damage: its root, and the image and the mask of its second training sample."""
    root = shutil.copytree(pristine[0], tmp_path / "bdd100k")
    images, masks, ending = pristine[2]
    stem = "00000001-00000001"
    return root, root / images / "train" / f"{stem}.jpg", root / masks / "train" / f"{stem}{ending}"


def samples(root: Path, split: str = "train", **options: object):
    return BDD100K(root=root, **options).build(DatasetContext(split=split, seed=0))  # type: ignore[arg-type]


@pytest.mark.parametrize("split", ["train", "val"])
def test_palette_masks_are_read_as_indices(pristine, split):
    root, truth, (images, _, _) = pristine
    found = samples(root, split)
    assert (len(found), found.defects) == (SPLITS[split], ())
    for index in range(len(found)):
        sample = found[index]
        assert set(np.unique(sample.mask)) == {*range(19), 255}
        assert (sample.mask == truth[sample.id].labels).all()
        stored = cv2.imread(str(root / images / split / f"{sample.id}.jpg"))
        assert (sample.image == stored[..., ::-1]).all()


def test_grey_masks_are_read_alike(damaged):
    root, _, mask = damaged
    labels = np.arange(72 * 128, dtype=np.uint32).reshape(72, 128) % 19
    cv2.imwrite(str(mask), labels.astype(np.uint8))
    assert (samples(root)[1].mask == labels).all()


def test_the_test_split_is_unlabelled(pristine):
    root, _, _ = pristine
    found = samples(root, "test")
    assert (len(found), found[0].mask, found[1].mask) == (2, None, None)


def test_images_of_the_real_size(make_bdd100k, tmp_path):
    truth = make_bdd100k(tmp_path, {"train": 1}, (720, 1280))
    sample = samples(tmp_path)[0]
    assert sample.image.shape == (720, 1280, 3)
    assert (sample.mask == truth[sample.id].labels).all()


def test_both_layouts_at_once_are_told_apart_by_the_person(make_bdd100k, tmp_path):
    for older in (False, True):
        make_bdd100k(tmp_path, {"train": 1}, older=older)
    with pytest.raises(KdsegError, match=r"holds both images/10k and seg/images.*give that as root"):
        samples(tmp_path)


def test_neither_layout_is_told_with_what_to_download(tmp_path):
    (tmp_path / "images/100k").mkdir(parents=True)  # another part of BDD100K
    with pytest.raises(
        KdsegError, match=r"holds neither images/10k nor seg/images; .*bdd-data\.berkeley\.edu.*10k/SPL"
    ):
        samples(tmp_path)


@pytest.mark.parametrize("lost", ["mask", "image"])
def test_a_file_without_its_partner_is_a_defect_or_left_out(damaged, lost, caplog):
    root, image, mask = damaged
    missing, alone = (mask, image) if lost == "mask" else (image, mask)
    missing.unlink()
    found = samples(root)
    assert [(defect.file, defect.text) for defect in found.defects] == [(alone, f"has no {lost} {missing.name}")]
    assert len(found) == 2
    assert caplog.records == []
    skipped = samples(root, unpaired="skip")
    assert (skipped.defects, skipped.ids) == ((), found.ids)
    assert str(alone) in caplog.text


def test_two_images_of_one_stem_are_a_defect_and_left_out(damaged):
    root, image, _ = damaged
    shutil.copy(image, image.with_suffix(".png"))
    for unpaired in ("refuse", "skip"):
        found = samples(root, unpaired=unpaired)
        (defect,) = found.defects
        assert defect.file == image.with_suffix(".png")
        assert str(image) in defect.text
        assert image.stem not in found.ids
        assert len(found) == 2


def test_two_images_of_one_stem_in_the_test_split_too(pristine, tmp_path):
    root = shutil.copytree(pristine[0], tmp_path / "bdd100k")
    image = next((root / pristine[2][0] / "test").glob("*.jpg"))
    shutil.copy(image, image.with_suffix(".png"))
    found = samples(root, "test")
    assert [defect.file for defect in found.defects] == [image.with_suffix(".png")]
    assert len(found) == 1


def test_a_label_out_of_range_is_named(damaged):
    root, _, mask = damaged
    cv2.imwrite(str(mask), np.full((72, 128), 19, np.uint8))
    with pytest.raises(KdsegError, match=rf"{mask.name}: holds the label 19; .*from 0 to 18, and 255"):
        samples(root)[1]


def test_colours_are_no_labels(damaged):
    root, _, mask = damaged
    cv2.imwrite(str(mask), np.zeros((72, 128, 4), np.uint8))
    with pytest.raises(KdsegError, match=rf"{mask.name}: is 8-bit RGBA; a mask is a PNG of 8-bit grey, or with a pal"):
        samples(root)[1]


def test_another_size_is_named(damaged):
    root, _, mask = damaged
    cv2.imwrite(str(mask), np.zeros((72, 96), np.uint8))
    with pytest.raises(KdsegError, match=rf"{mask.name}: is 72x96, its image 72x128"):
        samples(root)[1]


@pytest.mark.parametrize("which", [1, 2], ids=["image", "mask"])
@pytest.mark.parametrize("keep", [0, 20, 300, -20])
def test_a_truncated_file_is_named(damaged, which, keep):
    file = damaged[which]
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(KdsegError, match=file.name):
        samples(damaged[0])[1]


def test_a_missing_split_is_told(damaged):
    root, _, mask = damaged
    shutil.rmtree(mask.parent)
    with pytest.raises(KdsegError, match=rf"{mask.parent}: there is no such folder; bdd100k is"):
        samples(root)
