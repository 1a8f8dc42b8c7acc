"""Pascal VOC and ADE20K in the layouts of their downloads, against what the tests wrote into them."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from drawn_folder import image_of, palette_png, write

from kdseg import DatasetContext, KdsegError
from kdseg_folder import ADE20K, PascalVOC

SIZE = (32, 48)
DATASETS = {"pascal_voc": PascalVOC, "ade20k": ADE20K}


def numbers(number, highest):
    """Draw a mask that holds each number from 0 to `highest`, and 255."""
    found = np.random.default_rng(number).integers(0, highest + 1, SIZE, np.uint8)
    found.flat[: highest + 2] = [*range(highest + 1), 255]
    return found


def make_pascal_voc(root):
    """Five images, of which two are listed to train on, one to judge by, and two have no mask."""
    truth = {}
    for number in range(5):
        name = f"2007_{number:06}"
        write(root / f"JPEGImages/{name}.jpg", image_of(number))
        if number < 3:
            truth[name] = numbers(number, 20)
            colours = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
            write(root / f"SegmentationClass/{name}.png", palette_png(truth[name], colours))
            write(root / f"SegmentationObject/{name}.png", palette_png(truth[name] // 2, colours))
            write(root / f"Annotations/{name}.xml", b"<annotation/>")
    for split, names in {"train": "2007_000000\n2007_000001\n", "val": "2007_000002\n", "test": ""}.items():
        write(root / f"ImageSets/Segmentation/{split}.txt", names.encode())
    return {"train": list(truth)[:2], "val": list(truth)[2:]}, truth


def make_ade20k(root):
    """Two images to train on, one to judge by."""
    listed, truth = {}, {}
    for split, folder, count in (("train", "training", 2), ("val", "validation", 1)):
        listed[split] = [f"ADE_{split}_{number:08}" for number in range(1, count + 1)]
        for name in listed[split]:
            write(root / f"images/{folder}/{name}.jpg", image_of(len(truth)))
            stored = numbers(len(truth), 150)
            write(root / f"annotations/{folder}/{name}.png", stored)
            truth[name] = np.where(stored == 0, 255, stored - np.uint8(stored != 255)).astype(np.uint8)
    write(root / "objectInfo150.txt", b"Idx Ratio Train Val Name\n")
    write(root / "sceneCategories.txt", b"ADE_train_00000001 airport_terminal\n")
    return listed, truth


MAKERS = {"pascal_voc": make_pascal_voc, "ade20k": make_ade20k}


@pytest.fixture(params=MAKERS)
def made(request, tmp_path, monkeypatch):
    """A dataset in its layout: its component, its root, what each split lists, its masks as train indices."""
    monkeypatch.delenv("KDSEG_DATA", raising=False)
    root = tmp_path / request.param
    return DATASETS[request.param], root, *MAKERS[request.param](root)


def samples(dataset, split="train", **options):
    return dataset(**options).build(DatasetContext(split=split, seed=0))


@pytest.mark.parametrize("split", ["train", "val"])
def test_images_and_masks_are_read_as_they_are_downloaded(made, split):
    dataset, root, listed, truth = made
    found = samples(dataset, split, root=root)
    assert (list(found.ids), found.defects) == (listed[split], ())
    for number, name in enumerate(listed[split]):
        sample = found[number]
        assert sample.image.shape == (*SIZE, 3)
        assert (sample.mask == truth[name]).all()
        classes = set(np.unique(sample.mask)) - {255}
        assert classes == set(range(len(dataset().class_table())))


def test_the_folder_is_found_by_its_name(made, monkeypatch):
    dataset, root, listed, _ = made
    monkeypatch.setenv("KDSEG_DATA", str(root.parent))
    assert list(samples(dataset).ids) == listed["train"]


def test_without_a_folder_the_layout_is_told(made):
    with pytest.raises(KdsegError, match=rf"the folder of {made[0].name} is not said; set the option root"):
        samples(made[0])


def test_a_folder_too_high_is_told_with_the_layout(made):
    dataset, root, _, _ = made
    with pytest.raises(KdsegError, match=rf"there is no such folder; {dataset.name} is the folder .*: \w+/"):
        samples(dataset, root=root.parent)


def mask_of(root, name):
    return next(path for path in root.rglob(f"{name}.png") if path.parent.name in ("SegmentationClass", "training"))


def test_a_value_that_no_class_has_is_told(made):
    dataset, root, listed, _ = made
    mask = mask_of(root, listed["train"][0])
    write(mask, np.full(SIZE, 200, np.uint8))
    with pytest.raises(
        KdsegError, match=rf"{mask.name}: holds the value 200, which no class has \(1536 pixels\); .*hold 0"
    ):
        samples(dataset, root=root)[0]


def test_a_mask_that_was_saved_as_jpeg_is_told(made):
    dataset, root, listed, _ = made
    mask = mask_of(root, listed["train"][0])
    shutil.copy(next(root.rglob("*.jpg")), mask)
    with pytest.raises(KdsegError, match=rf"{mask.name}: is compressed with losses"):
        samples(dataset, root=root)[0]


def test_an_image_without_its_mask_is_a_defect_or_left_out(made, caplog):
    dataset, root, listed, _ = made
    name = listed["train"][0]
    mask_of(root, name).unlink()
    (defect,) = samples(dataset, root=root).defects
    assert str(defect).endswith(f"{name}.jpg: has no mask {name}.png")
    skipped = samples(dataset, root=root, unpaired="skip")
    assert (list(skipped.ids), skipped.defects) == (listed["train"][1:], ())
    assert name in caplog.text


def test_a_list_of_pascal_voc_that_is_missing_is_told(tmp_path):
    make_pascal_voc(tmp_path)
    shutil.rmtree(tmp_path / "ImageSets")
    with pytest.raises(KdsegError, match=r"train\.txt: there is no such list of images"):
        samples(PascalVOC, root=tmp_path)


def test_the_tables_are_those_that_are_published():
    voc, ade = PascalVOC().class_table(), ADE20K().class_table()
    assert (len(voc), len(ade)) == (21, 150)
    assert (voc.names[0], voc.names[-1], voc.colours[0], voc.colours[15]) == (
        "background",
        "tvmonitor",
        (0, 0, 0),
        (192, 128, 128),
    )
    assert (ade.names[0], ade.names[12], ade.names[149], ade.colours[0]) == ("wall", "person", "flag", (120, 120, 120))
    for table in (voc, ade):
        assert len(set(table.names)) == len(table)
