"""IDD as its makers' scripts leave it."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest
from road_layouts import SIZE, make_idd, samples

from kdseg.errors import KdsegError
from kdseg_road import IDD


@pytest.mark.parametrize(("classes", "which"), [("own", 0), ("cityscapes19", 1)])
@pytest.mark.parametrize("split", ["train", "val"])
def test_idd_is_read_as_its_makers_scripts_leave_it(tmp_path, classes, which, split):
    stored = make_idd(tmp_path)
    found = samples(IDD, split, root=tmp_path, classes=classes)
    drives = {"train": ("001", "201"), "val": ("3",)}[split]
    assert (found.defects, found.ids) == ((), tuple(name for name in stored if name.split("/")[0] in drives))
    for number, name in enumerate(found.ids):
        assert (found[number].mask == stored[name][which]).all()


def test_idd_tests_on_images_without_labels(tmp_path):
    make_idd(tmp_path)
    shutil.rmtree(tmp_path / "gtFine/test", ignore_errors=True)
    found = samples(IDD, "test", root=tmp_path)
    assert (found.ids, found[0].mask) == (("4/frame0029", "4/frame0299"), None)


def test_masks_of_idd_that_were_not_made_are_told_with_the_command(tmp_path):
    make_idd(tmp_path)
    for mask in tmp_path.rglob("*_labelcsTrainIds.png"):
        mask.unlink()
    with pytest.raises(
        KdsegError, match=r"gtFine/train/001: holds no \*_gtFine_labelcsTrainIds\.png; .*--id-type csTrainId"
    ):
        samples(IDD, root=tmp_path, classes="cityscapes19")


def test_ids_of_another_level_are_told(tmp_path):
    make_idd(tmp_path)
    mask = tmp_path / "gtFine/train/001/frame0029_gtFine_labellevel3Ids.png"
    cv2.imwrite(str(mask), np.full(SIZE, 34, np.uint8))
    with pytest.raises(KdsegError, match=rf"{mask.name}: holds the label 34; level3Ids go from 0 to 25, and 255"):
        samples(IDD, root=tmp_path)[0]


def test_a_frame_of_one_drive_is_not_that_of_another(tmp_path):
    make_idd(tmp_path)
    (tmp_path / "gtFine/train/201/frame0029_gtFine_labellevel3Ids.png").unlink()
    found = samples(IDD, root=tmp_path)
    assert [str(defect.file.relative_to(tmp_path)) for defect in found.defects] == [
        "leftImg8bit/train/201/frame0029_leftImg8bit.jpg"
    ]
    assert "001/frame0029" in found.ids
