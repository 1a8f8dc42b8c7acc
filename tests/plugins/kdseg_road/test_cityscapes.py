"""Cityscapes in the layout as downloaded, against what the tests wrote into it."""

from __future__ import annotations

import pickle
import shutil
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from kdseg.components import DatasetContext
from kdseg.errors import KdsegError
from kdseg_road import Cityscapes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PARTS = {
    "train": {"aachen": 2, "bochum": 1},
    "val": {"frankfurt": 1, "lindau": 1},
    "test": {"berlin": 2},
    "train_extra": {"augsburg": 2},
}
# Label id to train index, as the paper's table prints it; all else is ignored.
TRAIN = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14,
         28: 15, 31: 16, 32: 17, 33: 18}  # fmt: skip


def train_indices(labels):
    """Go through the pixels one by one."""
    return np.array([[TRAIN.get(int(label), 255) for label in row] for row in labels], np.uint8)


@pytest.fixture(scope="module")
def pristine(make_cityscapes, tmp_path_factory):
    root = tmp_path_factory.mktemp("cityscapes")
    return root, make_cityscapes(root, PARTS, coarse=True)


@pytest.fixture
def root(pristine, tmp_path):
    """A copy to damage."""
    return shutil.copytree(pristine[0], tmp_path / "cityscapes")


def samples(root: Path, split: str = "train", extras: tuple[str, ...] = (), **options: object):
    return Cityscapes(root=root, **options).build(DatasetContext(split=split, seed=0, extras=extras))  # type: ignore[arg-type]


def stems(found) -> list[str]:
    return [found[index].id for index in range(len(found))]


# What is read


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize(("annotation", "kind"), [("fine", "gtFine"), ("coarse", "gtCoarse")])
def test_label_ids_become_train_indices(pristine, split, annotation, kind):
    root, truth = pristine
    found = samples(root, split, labels=annotation)
    assert found.defects == ()
    assert len(found) == sum(PARTS[split].values())
    assert set(stems(found)) <= {name.removeprefix(f"{kind}/") for name in truth}
    for index in range(len(found)):
        sample = found[index]
        wrote = truth[f"{kind}/{sample.id}"]
        assert set(np.unique(wrote.labels)) == {*range(34), 255}
        assert (sample.mask == train_indices(wrote.labels)).all()
        assert (sample.image == wrote.image[..., ::-1]).all()
        assert sample.extras == {}


def test_the_order_is_that_of_the_names_and_survives_a_worker(pristine):
    found = samples(pristine[0])
    assert stems(found) == ["aachen_000000_000000", "aachen_000000_000001", "bochum_000000_000000"]
    assert stems(pickle.loads(pickle.dumps(found))) == stems(found)
    assert [files[0].name for files in found.files] == [f"{stem}_leftImg8bit.png" for stem in stems(found)]


def test_the_test_split_is_unlabelled_though_a_dummy_truth_lies_there(pristine):
    found = samples(pristine[0], "test", extras=("instances",))
    assert len(found) == 2
    assert found[0].mask is None
    assert found[0].extras == {}
    assert [len(files) for files in found.files] == [1, 1]


def test_train_extra_adds_coarse_images_to_the_training_split_alone(pristine):
    root, truth = pristine
    found = samples(root, train_extra=True)
    assert len(found) == 5
    extra = found[stems(found).index("augsburg_000000_000001")]
    assert (extra.mask == train_indices(truth["gtCoarse/augsburg_000000_000001"].labels)).all()
    fine = found[stems(found).index("aachen_000000_000000")]
    assert (fine.mask == train_indices(truth["gtFine/aachen_000000_000000"].labels)).all()
    assert len(samples(root, "val", train_extra=True)) == 2


def test_cities_are_a_filter(pristine):
    root, _ = pristine
    assert stems(samples(root, cities=("bochum",))) == ["bochum_000000_000000"]
    assert stems(samples(root, cities=("augsburg",), train_extra=True)) == [f"augsburg_000000_00000{i}" for i in (0, 1)]
    assert len(samples(root, cities=("bochum", "augsburg"), train_extra=True)) == 3
    with pytest.raises(KdsegError, match=r"the train split has no city 'bohum'; did you mean 'bochum'\?"):
        samples(root, cities=("bohum",))
    with pytest.raises(KdsegError, match=r"the val split has no city 'aachen'; it has frankfurt, lindau"):
        samples(root, "val", cities=("aachen",))


def test_instance_ids_come_where_they_are_asked_for(pristine):
    root, truth = pristine
    for sample in (found := samples(root, "val", extras=("instances", "depth")))[0], found[1]:
        instances = sample.extras["instances"]
        assert instances.dtype == np.uint16
        assert (instances == truth[f"gtFine/{sample.id}"].instances).all()
        assert instances.max() >= 24000


def test_label_train_ids_are_read_only_when_asked_for(root):
    for file in (root / "gtFine/train").glob("*/*_labelIds.png"):
        indices = np.full((64, 128), 255, np.uint8)
        indices[10:] = 7
        cv2.imwrite(str(file).replace("labelIds", "labelTrainIds"), indices)
    found = samples(root, masks="labelTrainIds")
    assert len(found) == 3
    assert (found[0].mask == indices).all()
    assert not (samples(root)[0].mask == indices).all()


def test_images_of_the_real_size(make_cityscapes, tmp_path):
    truth = make_cityscapes(tmp_path, {"train": {"aachen": 1}}, (1024, 2048))
    sample = samples(tmp_path)[0]
    table = np.array([TRAIN.get(label, 255) for label in range(256)], np.uint8)
    assert sample.image.shape == (1024, 2048, 3)
    assert (sample.mask == table[truth["gtFine/aachen_000000_000000"].labels]).all()


# What is wrong


def mask_of(root: Path) -> Path:
    return root / "gtFine/train/aachen/aachen_000000_000001_gtFine_labelIds.png"


def image_of(root: Path) -> Path:
    return root / "leftImg8bit/train/aachen/aachen_000000_000001_leftImg8bit.png"


def lose_mask(root):
    mask_of(root).unlink()
    return image_of(root), "has no mask aachen_000000_000001_gtFine_labelIds.png"


def lose_image(root):
    image_of(root).unlink()
    return mask_of(root), "has no image aachen_000000_000001_leftImg8bit.png"


@pytest.mark.parametrize("damage", [lose_mask, lose_image])
def test_a_file_without_its_partner_is_a_defect_or_left_out(root, damage, caplog):
    file, told = damage(root)
    found = samples(root)
    assert [(defect.file, defect.text) for defect in found.defects] == [(file, told)]
    assert len(found) == 2
    caplog.clear()
    skipped = samples(root, unpaired="skip")
    assert (skipped.defects, skipped.files) == ((), found.files)
    (record,) = caplog.records
    assert str(file) in record.getMessage()
    assert record.name.startswith("kdseg")


def test_both_are_told_at_once_and_a_long_list_is_cut_in_the_log(make_cityscapes, tmp_path, caplog):
    make_cityscapes(tmp_path, {"train": {"aachen": 9}})
    for frame in range(5):
        (tmp_path / f"gtFine/train/aachen/aachen_000000_{frame:06}_gtFine_labelIds.png").unlink()
    (tmp_path / "leftImg8bit/train/aachen/aachen_000000_000008_leftImg8bit.png").unlink()
    assert [defect.text.split()[2] for defect in samples(tmp_path).defects] == ["mask"] * 5 + ["image"]
    samples(tmp_path, unpaired="skip")
    assert caplog.records[0].getMessage().endswith(" and 2 more")


def test_a_frame_in_two_cities_is_a_defect_and_left_out(root):
    twin = root / "leftImg8bit/train/bochum" / image_of(root).name
    shutil.copy(image_of(root), twin)
    for unpaired in ("refuse", "skip"):
        found = samples(root, unpaired=unpaired)
        (defect,) = found.defects
        assert defect.file == twin
        assert str(image_of(root)) in defect.text
        assert stems(found) == ["aachen_000000_000000", "bochum_000000_000000"]


def test_missing_instance_ids_are_a_defect_where_they_are_wanted(root):
    (root / "gtFine/val/lindau/lindau_000000_000000_gtFine_instanceIds.png").unlink()
    assert samples(root, "val").defects == ()
    found = samples(root, "val", extras=("instances",))
    (defect,) = found.defects
    assert defect.file.name == "lindau_000000_000000_gtFine_labelIds.png"
    assert defect.text == "has no instance ids lindau_000000_000000_gtFine_instanceIds.png beside it"
    assert len(found) == 1


def test_a_label_out_of_range_is_named(root):
    cv2.imwrite(str(mask_of(root)), np.full((64, 128), 34, np.uint8))
    with pytest.raises(KdsegError, match=r"aachen_000000_000001_gtFine_labelIds\.png: holds the label 34; .*0 to 33"):
        samples(root)[1]


def test_colours_are_no_labels(root):
    shutil.copy(str(mask_of(root)).replace("labelIds", "color"), mask_of(root))
    with pytest.raises(KdsegError, match=r"000001_gtFine_labelIds\.png: is 8-bit RGBA; a mask is a PNG of 8-bit grey"):
        samples(root)[1]


def test_another_size_is_named(root):
    cv2.imwrite(str(mask_of(root)), np.zeros((64, 96), np.uint8))
    with pytest.raises(KdsegError, match=r"000001_gtFine_labelIds\.png: is 64x96, its image 64x128"):
        samples(root)[1]


def test_instance_ids_of_another_size_or_depth_are_named(root):
    file = root / "gtFine/val/lindau/lindau_000000_000000_gtFine_instanceIds.png"
    found = samples(root, "val", extras=("instances",))
    cv2.imwrite(str(file), np.zeros((64, 96), np.uint16))
    with pytest.raises(KdsegError, match=r"instanceIds\.png: is 64x96"):
        found[1]
    cv2.imwrite(str(file), np.zeros((64, 128), np.uint8))
    with pytest.raises(KdsegError, match=r"instanceIds\.png: is 8-bit grey; a mask is a PNG of 16-bit grey"):
        found[1]


@pytest.mark.parametrize("file_of", [mask_of, image_of])
@pytest.mark.parametrize("keep", [0, 20, 300, -20])
def test_a_truncated_file_is_named(root, file_of, keep):
    file = file_of(root)
    file.write_bytes(file.read_bytes()[:keep])
    found = samples(root)
    assert found.defects == ()
    with pytest.raises(KdsegError, match=file.name):
        found[1]


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("leftImg8bit/train", r"leftImg8bit/train: there is no such folder; .*www\.cityscapes-dataset\.com"),
        ("gtFine/train", r"gtFine/train: there is no such folder; .*gtFine_trainvaltest\.zip"),
        ("gtFine", r"gtFine/train: there is no such folder; .*gtFine/SPLIT/CITY/"),
    ],
)
def test_a_missing_folder_is_told_with_the_layout(root, folder, told):
    shutil.rmtree(root / folder)
    with pytest.raises(KdsegError, match=told):
        samples(root)


def empty_images(root: Path) -> None:
    for file in (root / "leftImg8bit/train").glob("*/*_leftImg8bit.png"):
        file.unlink()


def empty_cities(root: Path) -> None:
    for city in (root / "leftImg8bit/train").iterdir():
        shutil.rmtree(city)


@pytest.mark.parametrize("damage", [empty_images, empty_cities])
def test_folders_without_images_are_told(root, damage: Callable[[Path], None]):
    damage(root)
    with pytest.raises(KdsegError, match=r"leftImg8bit/train.*: holds no \*_leftImg8bit\.png"):
        samples(root)
