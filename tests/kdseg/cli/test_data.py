"""`kdseg data`: what a folder of real files holds, and every defect by name."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

RECIPE = """
name = "roads"
train = { steps = 2, batch_size = 2, workers = 0 }
data = { dataset = { use = "camvid" } }
output = { folder = "runs" }
[models.student]
backbone = { use = "unet", base = 4, downsamplings = 2 }
[terms.labels]
learner = "student"
loss = { use = "cross_entropy", class_weights = "enet" }
"""
IMAGES = {"train": 12, "val": 3}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder as CamVid is downloaded, with pictures of noise."""
    numbers = np.random.default_rng(0)
    root = tmp_path / "camvid"
    for split, count in IMAGES.items():
        for folder in (split, f"{split}annot"):
            (root / folder).mkdir(parents=True)
        for index in range(count):
            image = numbers.integers(0, 256, (36, 48, 3), dtype=np.uint8)
            mask = np.repeat(numbers.integers(0, 12, (36, 1), dtype=np.uint8), 48, 1)
            cv2.imwrite(str(root / split / f"{index:02}.png"), image)
            cv2.imwrite(str(root / f"{split}annot" / f"{index:02}.png"), mask)
    monkeypatch.setenv("KDSEG_CAMVID", str(root))
    monkeypatch.setenv("KDSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "roads.toml").write_text(RECIPE, encoding="utf-8")
    return root


def masks_of(root, split):
    files = sorted((root / f"{split}annot").iterdir())
    return [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files]


def test_the_report_says_what_the_files_hold(kdseg, root):
    status, out, _ = kdseg("data", "roads.toml", "--json", "--workers", "0")
    assert status == 0
    report = json.loads(out)
    masks = np.stack(masks_of(root, "train"))
    labelled = masks[masks < 11]
    train = report["train"]
    assert train["images"] == 12
    assert train["sizes"] == {"36x48": 12}
    assert train["ignored"] == pytest.approx((masks == 11).mean())
    sky, car = train["classes"]["sky"], train["classes"]["car"]
    assert sky["pixels"] == pytest.approx((labelled == 0).mean())
    assert sky["images"] == pytest.approx((masks == 0).any((1, 2)).mean())
    assert sky["weights"]["enet"] == pytest.approx(1 / np.log(1.02 + sky["pixels"]))
    together = ((masks == 0).any((1, 2)) & (masks == 8).any((1, 2))).sum()
    assert train["pairs"]["sky"]["car"] == pytest.approx(together / (masks == 0).any((1, 2)).sum())
    assert car["weights"].keys() == {"enet", "median_frequency", "effective_number"}
    assert report["val"]["images"] == 3
    assert train["defects"] == []


def test_the_training_set_of_a_trial_is_shown(kdseg, root):
    """And of a file that is drawn several times, each draw counts."""
    resample = "data.resample={ method = 'disjoint', trial = 2, trials = 5 }"
    status, out, _ = kdseg("data", "roads.toml", "--json", "--workers", "0", "--set", resample)
    report = json.loads(out)
    assert (status, report["train"]["images"], report["val"]["images"]) == (0, 2, 3)
    resample = resample.replace("disjoint", "bootstrap")
    status, out, _ = kdseg("data", "roads.toml", "--json", "--workers", "0", "--set", resample)
    assert (status, json.loads(out)["train"]["images"]) == (0, 12)


def test_a_sheet_shows_samples(kdseg, root):
    status, out, _ = kdseg("data", "roads.toml", "--split", "train", "-o", "sheets")
    assert status == 0
    assert "samples: sheets/roads_train.png" in out
    assert "train: 12 images (12 of 36x48)" in out
    page = cv2.imread("sheets/roads_train.png")
    assert page.shape[1] > 1900
    assert len(np.unique(page.reshape(-1, 3), axis=0)) > 500


def test_what_was_read_is_not_read_again_until_it_changes(kdseg, root):
    first = kdseg("data", "roads.toml", "--json")
    (root / "train" / "03.png").write_bytes(b"")  # what is known of it stays known by name, size and time
    again = kdseg("data", "roads.toml", "--json")
    assert first.status == 0
    assert again.status == 2
    assert "03.png" in json.loads(again.out)["train"]["defects"][0]


DEFECTS = {
    "unreadable": (lambda root: (root / "train/11.png").write_bytes(b"text"), "train/11.png"),
    "empty": (lambda root: (root / "train/11.png").write_bytes(b""), "train/11.png"),
    "truncated": (
        lambda root: (root / "train/11.png").write_bytes((root / "train/11.png").read_bytes()[:-60]),
        "train/11.png",
    ),
    "size mismatch": (
        lambda root: cv2.imwrite(str(root / "trainannot/11.png"), np.zeros((30, 48), np.uint8)),
        "trainannot/11.png",
    ),
    "label out of range": (
        lambda root: cv2.imwrite(str(root / "trainannot/11.png"), np.full((36, 48), 12, np.uint8)),
        "trainannot/11.png",
    ),
    "missing mask": (lambda root: (root / "trainannot/11.png").unlink(), "train/11.png"),
    "missing image": (lambda root: (root / "train/11.png").unlink(), "trainannot/11.png"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_each_defect_is_found_by_name_and_stops_a_run_with_the_same_words(kdseg, root, name):
    """Beyond the first eight images, which `check` reads."""
    plant, file = DEFECTS[name]
    plant(root)
    status, out, _ = kdseg("data", "roads.toml", "--json")
    assert status == 2
    (defect,) = json.loads(out)["train"]["defects"]
    assert defect.startswith(f"{root / file}: ")
    status, _, err = kdseg("run", "roads.toml")
    assert status == 2
    assert defect in err
    assert "Traceback" not in err
    assert not (root.parent / "runs").exists()


def test_a_folder_in_order_is_trained_on(kdseg, root):
    status, _, err = kdseg("run", "roads.toml")
    assert status == 0, err
    assert "reading 12 images of the train split" in err
    assert "reading" not in kdseg("run", "roads.toml").err


def test_a_missing_split_is_told(kdseg, root):
    assert kdseg("data", "roads.toml", "--split", "trian").err.endswith(
        "camvid has no split 'trian'; it has train, val, test\n"
    )


def test_companions_are_told_where_they_say_something(kdseg, root):
    """Car goes with sky in half of the images; pole is in all of them, and so tells nothing."""
    for index, file in enumerate(sorted((root / "trainannot").iterdir())):
        mask = np.full((36, 48), 2, np.uint8)
        mask[:4], mask[4:8] = (0, 8) if index % 2 else (2, 2)
        cv2.imwrite(str(file), mask)
    _, out, _ = kdseg("data", "roads.toml", "--split", "train")
    _, told = out.split("what images with the rarest hold")
    lines = [line.split() for line in told.splitlines()[1:] if line.startswith("  ")]
    assert sorted(lines) == [["car", "sky", "100.00", "%"], ["sky", "car", "100.00", "%"]]


def test_an_output_that_is_a_file_is_told(kdseg, root):
    (root.parent / "sheets").touch()
    status, _, err = kdseg("data", "roads.toml", "-o", "sheets")
    assert status == 2
    assert err.splitlines()[-1] == "sheets: no folder can be made here: File exists"
