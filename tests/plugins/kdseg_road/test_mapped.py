"""Vistas, IDD and A2D2 in the layouts of their downloads, with their own classes and with those of Cityscapes."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
from drawn_folder import image_of, palette_png, write

from kdseg.components import DatasetContext
from kdseg.errors import KdsegError
from kdseg_road import A2D2, IDD, MapillaryVistas

SIZE = (32, 48)
VISTAS_TO_CITYSCAPES = {
    13: 0,
    14: 0,
    8: 0,
    23: 0,
    24: 0,  # road, service lane, crossings, markings
    15: 1,
    11: 1,
    2: 1,
    9: 1,  # sidewalk, pedestrian area, curb, curb cut
    17: 2,
    6: 3,
    3: 4,
    45: 5,
    47: 5,
    48: 6,
    50: 7,
    30: 8,
    29: 9,
    26: 9,
    27: 10,
    19: 11,
    20: 12,
    21: 12,
    22: 12,
    55: 13,
    61: 14,
    54: 15,
    58: 16,
    57: 17,
    52: 18,
}
VISTAS_2_TO_CITYSCAPES = {
    **dict.fromkeys((21, 23, 14, *range(35, 38), *range(39, 59)), 0),
    24: 1,
    19: 1,
    4: 1,
    15: 1,
    27: 2,
    28: 2,
    12: 3,
    5: 4,
    85: 5,
    88: 5,
    **dict.fromkeys(range(90, 96), 6),
    99: 7,
    100: 7,
    101: 7,
    103: 7,
    64: 8,
    63: 9,
    60: 9,
    61: 10,
    30: 11,
    32: 12,
    33: 12,
    34: 12,
    108: 13,
    114: 14,
    107: 15,
    111: 16,
    110: 17,
    105: 18,
}
A2D2_TO_CITYSCAPES = {
    "#ff00ff": 0,
    "#b432b4": 0,
    "#6e6e00": 0,
    "#ffc125": 0,
    "#8000ff": 0,
    "#d23273": 0,
    "#c87dd2": 0,
    "#b496c8": 1,
    "#808000": 1,
    "#f1e6ff": 2,
    "#fff68f": 5,
    "#87ceff": 10,
    "#0080ff": 6,
    "#1e1c9e": 6,
    "#3c1c64": 6,
    "#212cb1": 6,
    "#00ffff": 7,
    "#1edcdc": 7,
    "#3c9dc7": 7,
    "#cc99ff": 11,
    "#bd499b": 11,
    "#ef59bf": 11,
    "#ff0000": 13,
    "#c80000": 13,
    "#960000": 13,
    "#800000": 13,
    "#ff8000": 14,
    "#c88000": 14,
    "#968000": 14,
    "#b65906": 18,
    "#963204": 18,
    "#5a1e01": 18,
    "#5a1e1e": 18,
}
A2D2_OTHERS = (
    *("#00ff00", "#00c800", "#009600", "#ffff00", "#ffffc8", "#e96400", "#400040", "#b97a57", "#000064", "#8b636c"),
    *("#ff0080", "#960096", "#ccff99", "#eea2ad", "#ff46b9", "#eee9bf", "#93fdc2", "#9696c8", "#48d1cc", "#9f79ee"),
    *("#60458f", "#352e52"),
)
SCENES = {"train": ("20180807_145028", "20180925_101535"), "val": ("20181108_084007",), "test": ("20181204_135952",)}


def numbers(number, highest):
    """Draw a mask that holds each number from 0 to `highest`."""
    found = np.random.default_rng(number).integers(0, highest + 1, SIZE, np.uint8)
    found.flat[: highest + 1] = range(highest + 1)
    return found


def make_vistas(root, labels="v1.2/labels"):
    colours = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
    stored = {}
    for folder, count in (("training", 2), ("validation", 1), ("testing", 1)):
        for _ in range(count):
            name = f"{len(stored):022}"
            write(root / folder / f"images/{name}.jpg", image_of(len(stored)))
            stored[name] = numbers(len(stored), 65)
            if folder != "testing":
                write(root / folder / labels / f"{name}.png", palette_png(stored[name], colours))
                write(root / folder / labels.replace("labels", "instances") / f"{name}.png", stored[name].astype("u2"))
                write(root / folder / f"v2.0/labels/{name}.png", palette_png(numbers(len(stored), 123), colours))
    write(root / "config_v1.2.json", json.dumps({"labels": []}).encode())
    return stored


def make_idd(root):
    stored = {}
    for split, drive, suffix in (
        ("train", "001", "png"),
        ("train", "201", "jpg"),
        ("val", "3", "png"),
        ("test", "4", "png"),
    ):
        for frame in ("frame0029", "frame0299"):
            write(root / f"leftImg8bit/{split}/{drive}/{frame}_leftImg8bit.{suffix}", image_of(len(stored)))
            folder = root / f"gtFine/{split}/{drive}"
            level3, cs = (numbers(len(stored), highest) for highest in (25, 18))
            for mask in (level3, cs):
                mask[-1] = 255
            stored[f"{drive}/{frame}"] = level3, cs
            if split != "test":
                write(folder / f"{frame}_gtFine_polygons.json", b"{}")
                write(folder / f"{frame}_gtFine_labellevel3Ids.png", level3)
                write(folder / f"{frame}_gtFine_labelcsTrainIds.png", cs)
    return stored


def make_a2d2(root):
    codes = np.array([[int(text[i : i + 2], 16) for i in (1, 3, 5)] for text in (*A2D2_TO_CITYSCAPES, *A2D2_OTHERS)])
    stored = {}
    for scene in (name for names in SCENES.values() for name in names):
        for camera in ("front_center", "side_left"):
            stem = f"{scene.replace('_', '')}_camera_{camera.replace('_', '')}_{len(stored):09}"
            stored[stem] = numbers(len(stored), len(codes) - 1)
            write(root / f"{scene}/camera/cam_{camera}/{stem}.png", image_of(len(stored)))
            write(root / f"{scene}/camera/cam_{camera}/{stem}.json", b"{}")
            mask = codes[stored[stem]].astype(np.uint8)
            write(root / f"{scene}/label/cam_{camera}/{stem.replace('_camera_', '_label_')}.png", mask)
    write(root / "class_list.json", b"{}")
    return stored


def samples(dataset, split="train", **options):
    return dataset(**options).build(DatasetContext(split=split, seed=0))


# Vistas


@pytest.mark.parametrize("labels", ["v1.2/labels", "labels"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_vistas_is_read_as_it_is_downloaded(tmp_path, labels, split):
    stored = make_vistas(tmp_path, labels)
    found = samples(MapillaryVistas, split, root=tmp_path)
    assert (len(found), found.defects) == ({"train": 2, "val": 1}[split], ())
    for number in range(len(found)):
        truth = stored[found.ids[number]]
        assert (found[number].mask == np.where(truth == 65, 255, truth)).all()


def test_vistas_as_cityscapes_is_a_map_by_hand(tmp_path):
    stored = make_vistas(tmp_path)
    sample = samples(MapillaryVistas, root=tmp_path, classes="cityscapes19")[0]
    by_hand = np.array([VISTAS_TO_CITYSCAPES.get(label, 255) for label in range(66)])
    assert (sample.mask == by_hand[stored[sample.id]]).all()
    assert set(by_hand) == {*range(19), 255}


@pytest.mark.parametrize("classes", ["own", "cityscapes19"])
def test_vistas_of_version_2_leaves_out_what_is_not_evaluated(tmp_path, classes):
    make_vistas(tmp_path)
    found = samples(MapillaryVistas, root=tmp_path, labels="v2.0", classes=classes)
    void = [2, 31, 38, 79, 86, 96, 115, 123]
    evaluated = [label for label in range(124) if label not in void]
    by_hand = np.full(124, 255)
    if classes == "own":
        by_hand[evaluated] = range(116)
    else:
        for label, index in VISTAS_2_TO_CITYSCAPES.items():
            by_hand[label] = index
        assert set(by_hand) == {*range(19), 255}
    for number in range(2):
        assert (found[number].mask == by_hand[numbers(number + 1, 123)]).all()


def test_vistas_tests_on_images_without_labels(tmp_path):
    make_vistas(tmp_path)
    found = samples(MapillaryVistas, "test", root=tmp_path)
    assert [sample.mask for sample in (found[0],)] == [None]


def test_labels_of_another_version_are_told(tmp_path):
    make_vistas(tmp_path)
    (mask, *_) = sorted((tmp_path / "training/v1.2/labels").glob("*.png"))
    write(mask, palette_png(np.full(SIZE, 123, np.uint8), np.zeros((256, 3), np.uint8)))
    with pytest.raises(
        KdsegError, match=rf"{mask.name}: holds the label 123; those of v1\.2 go from 0 to 65; the other"
    ):
        samples(MapillaryVistas, root=tmp_path)[0]


# IDD


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


# A2D2


@pytest.mark.parametrize("split", SCENES)
def test_a2d2_is_read_as_it_is_downloaded(tmp_path, split):
    stored = make_a2d2(tmp_path)
    found = samples(A2D2, split, root=tmp_path)
    scenes = {scene.replace("_", "") for scene in SCENES[split]}
    assert (found.defects, found.ids) == ((), tuple(name for name in stored if name.split("_")[0] in scenes))
    assert set(np.unique(found[0].mask)) == set(range(38))


def test_numbered_colours_of_a2d2_are_one_class(tmp_path):
    make_a2d2(tmp_path)
    names = A2D2().class_table().names
    masks = iter((tmp_path / "20180807_145028/label/cam_front_center").glob("*.png"))
    write(
        next(masks),
        np.array([[[200, 0, 0], [128, 0, 0], [53, 46, 82], [255, 255, 200]]], np.uint8).repeat(32, 0).repeat(12, 1),
    )
    found = samples(A2D2, root=tmp_path)[0].mask
    assert [names[index] for index in found[0, ::12]] == ["Car", "Car", "Rain dirt", "Utility vehicle"]


def test_a2d2_as_cityscapes_is_a_map_by_hand(tmp_path):
    stored = make_a2d2(tmp_path)
    sample = samples(A2D2, root=tmp_path, classes="cityscapes19")[1]
    by_hand = np.array([*A2D2_TO_CITYSCAPES.values(), *(255 for _ in A2D2_OTHERS)])
    assert len(by_hand) == 55
    assert (sample.mask == by_hand[stored[sample.id]]).all()


@pytest.mark.parametrize("others", ["refuse", "ignore"])
def test_a_colour_that_no_class_has_is_told_or_ignored(tmp_path, others):
    make_a2d2(tmp_path)
    (mask,) = (tmp_path / "20180807_145028/label/cam_front_center").glob("*.png")
    write(mask, np.array([[[255, 0, 0], [1, 2, 3]]], np.uint8).repeat(32, 0).repeat(24, 1))
    found = samples(A2D2, root=tmp_path, others=others)
    if others == "ignore":
        assert found[0].mask[0, ::24].tolist() == [0, 255]
        return
    with pytest.raises(KdsegError, match=rf"{mask.name}: holds the colour #010203, which no class has \(768 pixels\)"):
        found[0]


def test_a_scene_that_is_not_there_is_told(tmp_path):
    make_a2d2(tmp_path)
    with pytest.raises(
        KdsegError, match=r"val_scenes names '20181108_084008', which is not there; did you mean '20181108_084007'"
    ):
        samples(A2D2, "val", root=tmp_path, val_scenes=("20181108_084008",))
    everything = tuple(scene for scenes in SCENES.values() for scene in scenes)
    with pytest.raises(KdsegError, match="leave no scene to train on"):
        samples(A2D2, root=tmp_path, val_scenes=everything, test_scenes=())
    with pytest.raises(ValueError, match="is among val_scenes too"):
        A2D2(val_scenes=("20181204_135952",))
    with pytest.raises(KdsegError, match=r"holds no scene, such as 20180807_145028; a2d2 is camera_lidar_semantic"):
        samples(A2D2, root=tmp_path / "20180807_145028")


# All three


@pytest.mark.parametrize(("dataset", "count"), [(MapillaryVistas, 65), (IDD, 26), (A2D2, 38)])
def test_the_tables_are_those_that_are_published(dataset, count):
    table = dataset().class_table()
    assert len(table) == len(set(table.names)) == len(set(table.colours)) == count
    assert dataset(classes="cityscapes19").class_table().names[:2] == ("road", "sidewalk")
    assert len(dataset(classes="cityscapes19").class_table()) == 19


def test_version_2_of_vistas_evaluates_116_labels():
    table = MapillaryVistas(labels="v2.0").class_table()
    assert len(table) == len(set(table.names)) == 116
    assert (table.names[2], table.colours[2], table.categories[2]) == ("Concrete Block", (250, 170, 32), "construction")
    assert (table.names[-1], table.colours[-1], table.categories[-1]) == ("Static", (111, 111, 0), "void")


@pytest.mark.parametrize(("dataset", "make"), [(MapillaryVistas, make_vistas), (IDD, make_idd), (A2D2, make_a2d2)])
def test_the_folder_is_found_by_its_name_or_asked_for(tmp_path, monkeypatch, dataset, make):
    monkeypatch.delenv("KDSEG_DATA", raising=False)
    with pytest.raises(KdsegError, match=rf"the folder of {dataset.name} is not said; .*; {dataset.name} is "):
        samples(dataset)
    make(tmp_path / dataset.name)
    monkeypatch.setenv("KDSEG_DATA", str(tmp_path))
    assert len(samples(dataset)) >= 2
    with pytest.raises(KdsegError, match=rf"; {dataset.name} is "):
        samples(dataset, root=tmp_path)


@pytest.mark.parametrize(("dataset", "make"), [(MapillaryVistas, make_vistas), (IDD, make_idd), (A2D2, make_a2d2)])
def test_an_image_without_its_mask_is_a_defect_or_left_out(tmp_path, caplog, dataset, make):
    make(tmp_path)
    whole = samples(dataset, root=tmp_path)
    image, mask = whole.files[0]
    mask.unlink()
    found = samples(dataset, root=tmp_path)
    assert [defect.file for defect in found.defects] == [image]
    skipped = samples(dataset, root=tmp_path, unpaired="skip")
    assert (skipped.ids, skipped.defects) == (whole.ids[1:], ())
    assert str(image) in caplog.text
