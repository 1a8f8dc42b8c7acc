"""The recipes for Cityscapes and BDD100K, on folders in their layouts."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from kdseg import load

FOLDER = Path(__file__).parents[3] / "recipes"
CITYSCAPES = ("cityscapes_teacher", "cityscapes_offline")
QUICK = ("train.steps=2", "train.batch_size=2", "train.workers=0", "train.precision=fp32")
SMALL_CROP = 'data.augment=[{ use = "RandomCrop", height = 64, width = 128, pad_if_needed = true }]'
PARTS = {"train": {"aachen": 9, "bochum": 7}, "val": {"frankfurt": 2}, "test": {"berlin": 1}}


@pytest.fixture(autouse=True)
def working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("DATA", "CITYSCAPES", "BDD100K"):
        monkeypatch.delenv(f"KDSEG_{name}", raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def cityscapes(make_cityscapes, tmp_path_factory):
    root = tmp_path_factory.mktemp("cityscapes")
    make_cityscapes(root, PARTS)
    return root


@pytest.fixture(scope="module")
def bdd100k(make_bdd100k, tmp_path_factory):
    root = tmp_path_factory.mktemp("bdd100k")
    make_bdd100k(root, {"train": 16, "val": 2, "test": 1})
    return root


def setting(*settings):
    return [word for text in settings for word in ("--set", text)]


def run(kdseg, name, *settings):
    status, out, err = kdseg("run", str(FOLDER / f"{name}.toml"), "--json", *setting(*QUICK, *settings))
    assert status == 0, err
    return json.loads(out)


@pytest.mark.parametrize(
    ("name", "page", "layout"),
    [
        *((name, "www.cityscapes-dataset.com", "gtFine/SPLIT/CITY/*_gtFine_labelIds.png") for name in CITYSCAPES),
        ("bdd100k_online", "bdd-data.berkeley.edu", "labels/sem_seg/masks/SPLIT/*.png"),
    ],
)
def test_without_its_images_check_tells_that_alone_and_where_to_get_them(kdseg, name, page, layout):
    status, out, err = kdseg("check", str(FOLDER / f"{name}.toml"))
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    assert re.search(rf"{name}\.toml:\d+: data\.dataset: ", line)
    for told in (page, layout, f"$KDSEG_{name.split('_')[0].upper()}"):
        assert told in line


@pytest.mark.parametrize("name", [*CITYSCAPES, "bdd100k_online"])
def test_with_its_images_check_finds_nothing_wrong(kdseg, monkeypatch, cityscapes, bdd100k, name):
    monkeypatch.setenv("KDSEG_CITYSCAPES", str(cityscapes))
    monkeypatch.setenv("KDSEG_BDD100K", str(bdd100k))
    status, out, err = kdseg("check", str(FOLDER / f"{name}.toml"))
    assert (status, err) == (0, "")
    assert out.endswith("\nno problem found\n")


def test_the_student_learns_from_the_network_of_the_teachers_recipe_on_the_same_images():
    from kdseg.recipe.load import load_recipe

    teacher, offline = (load_recipe(FOLDER / f"{name}.toml").recipe for name in CITYSCAPES)
    assert offline.models["teacher"].backbone == teacher.models["teacher"].backbone
    assert offline.models["teacher"].weights.recipe == FOLDER / "cityscapes_teacher.toml"
    for part in ("data", "train", "evaluate", "seed"):
        assert getattr(offline, part) == getattr(teacher, part)


def offline(kdseg, working_folder, *settings):
    """Train the teacher, then the student, and judge it: the run's folder, and what its evaluation says."""
    run(kdseg, "cityscapes_teacher", "models.teacher.backbone.base=4", *settings)
    weights = f'models.teacher.weights={{ run = "{working_folder / "runs/cityscapes_teacher/latest"}" }}'
    shrunk = ("models.teacher.backbone.base=4", "models.student.backbone.base=4", weights)
    summary = run(kdseg, "cityscapes_offline", *shrunk, *settings)
    assert summary["participants"]["student"]["steps"] == 2
    status, out, err = kdseg("evaluate", summary["folder"], "--json")
    assert status == 0, err
    return Path(summary["folder"]), json.loads(out)


def assert_predicts(kdseg, folder, root, size):
    """Predict the test images as files, and compare them with what the model says itself."""
    images = sorted((root / "leftImg8bit/test/berlin").glob("[!.]*.png"))
    status, _, err = kdseg("predict", str(folder), *map(str, images), "--output", "masks")
    assert status == 0, err
    model = load(folder, "student")
    for image in images:
        mask = cv2.imread(f"masks/{image.stem}_mask.png", cv2.IMREAD_UNCHANGED)
        assert mask.shape == size
        assert (mask == model.predict(np.ascontiguousarray(cv2.imread(str(image))[..., ::-1]))).all()


def test_cityscapes_offline_trains_evaluates_and_predicts(kdseg, working_folder, monkeypatch, cityscapes):
    monkeypatch.setenv("KDSEG_CITYSCAPES", str(cityscapes))
    folder, evaluated = offline(kdseg, working_folder, SMALL_CROP)
    assert '"cityscapes/iiou"' in json.dumps(evaluated)
    assert_predicts(kdseg, folder, cityscapes, (64, 128))


@pytest.mark.slow
def test_cityscapes_offline_at_the_real_size(kdseg, working_folder, monkeypatch, make_cityscapes):
    root = working_folder / "cityscapes"
    make_cityscapes(root, {"train": {"aachen": 4}, "val": {"frankfurt": 1}, "test": {"berlin": 1}}, (1024, 2048))
    monkeypatch.setenv("KDSEG_CITYSCAPES", str(root))
    folder, evaluated = offline(kdseg, working_folder)
    assert '"cityscapes/iiou"' in json.dumps(evaluated)
    assert_predicts(kdseg, folder, root, (1024, 2048))


def test_bdd100k_online_trains_both(kdseg, monkeypatch, bdd100k):
    monkeypatch.setenv("KDSEG_BDD100K", str(bdd100k))
    shrunk = ("models.teacher.backbone.base=4", "models.student.backbone.base=4")
    summary = run(kdseg, "bdd100k_online", *shrunk, SMALL_CROP)
    assert {name: told["steps"] for name, told in summary["participants"].items()} == {"teacher": 2, "student": 2}


def test_a_defect_stops_a_run_before_training_and_names_the_file(kdseg, working_folder, monkeypatch, make_cityscapes):
    root = working_folder / "cityscapes"
    make_cityscapes(root, {"train": {"aachen": 3}, "val": {"frankfurt": 1}})
    monkeypatch.setenv("KDSEG_CITYSCAPES", str(root))
    lost = root / "gtFine/train/aachen/aachen_000000_000001_gtFine_labelIds.png"
    lost.unlink()
    words = (str(FOLDER / "cityscapes_teacher.toml"), *setting(*QUICK, "models.teacher.backbone.base=4", SMALL_CROP))
    for verb in ("check", "run"):
        status, _, err = kdseg(verb, *words)
        assert status == 2
        assert f"aachen_000000_000001_leftImg8bit.png: has no mask {lost.name}" in err
    assert not (working_folder / "runs").exists()
    status, _, err = kdseg("run", *words, *setting('data.dataset.unpaired="skip"'))
    assert status == 0, err
    assert "left out, because it has no mask: " in err


# Every defect, by name


def cityscapes_files(root):
    stem = "train/bochum/bochum_000000_000006"
    images, masks = root / "leftImg8bit", root / "gtFine"
    twin = images / "train/aachen/bochum_000000_000006_leftImg8bit.png"
    return images / f"{stem}_leftImg8bit.png", masks / f"{stem}_gtFine_labelIds.png", twin


def bdd100k_files(root):
    stem = "train/0000000f-0000000f"
    image = root / f"images/10k/{stem}.jpg"
    return image, root / f"labels/sem_seg/masks/{stem}.png", image.with_suffix(".png")


def unreadable(image, mask, twin):
    image.write_bytes(b"text")
    return image, "is no image that can be decoded"


def truncated(image, mask, twin):
    mask.write_bytes(mask.read_bytes()[:-60])
    return mask, "is no image that can be decoded"


def size_mismatch(image, mask, twin):
    height, width, _ = cv2.imread(str(image)).shape
    cv2.imwrite(str(mask), np.zeros((height - 8, width), np.uint8))
    return mask, f"is {height - 8}x{width}, its image {height}x{width}"


def label_out_of_range(image, mask, twin):
    labels = np.zeros(cv2.imread(str(image)).shape[:2], np.uint8)
    labels[-1, -1] = 77
    cv2.imwrite(str(mask), labels)
    return mask, "holds the label 77"


def missing_mask(image, mask, twin):
    mask.unlink()
    return image, f"has no mask {mask.name}"


def missing_image(image, mask, twin):
    image.unlink()
    return mask, f"has no image {image.name}"


def duplicate_stem(image, mask, twin):
    shutil.copy(image, twin)
    first, second = sorted((image, twin))
    return second, f"is a second {image.name.removesuffix(image.suffix).removesuffix('_leftImg8bit')!r}, beside {first}"


@pytest.mark.parametrize(
    "plant", [unreadable, truncated, size_mismatch, label_out_of_range, missing_mask, missing_image, duplicate_stem]
)
@pytest.mark.parametrize("name", ["cityscapes_teacher", "bdd100k_online"])
def test_each_defect_is_found_by_name_and_stops_a_run_with_the_same_words(
    kdseg, working_folder, monkeypatch, cityscapes, bdd100k, name, plant
):
    """In the last sample, which `check` does not read."""
    dataset = name.split("_")[0]
    root = shutil.copytree({"cityscapes": cityscapes, "bdd100k": bdd100k}[dataset], working_folder / "images")
    monkeypatch.setenv(f"KDSEG_{dataset.upper()}", str(root))
    monkeypatch.setenv("KDSEG_CACHE", str(working_folder / "cache"))
    file, told = plant(*(cityscapes_files if dataset == "cityscapes" else bdd100k_files)(root))
    recipe = str(FOLDER / f"{name}.toml")
    status, out, _ = kdseg("data", recipe, "--json", "--workers", "0")
    assert status == 2
    report = json.loads(out)
    (defect,) = report["train"]["defects"]
    assert defect.startswith(f"{file}: {told}")
    assert report["val"]["defects"] == []
    small = ["models.teacher.backbone.base=4", "models.student.backbone.base=4"][: 1 + (dataset == "bdd100k")]
    status, _, err = kdseg("run", recipe, *setting(*QUICK, *small, SMALL_CROP))
    assert status == 2
    assert defect in err
    assert not (working_folder / "runs").exists()
