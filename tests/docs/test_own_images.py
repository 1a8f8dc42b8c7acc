"""The page on own images: its commands run, and each of its tables reads a folder as it says."""

from __future__ import annotations

import json
import shlex
import shutil
import tomllib

import pytest
from drawn_folder import make_folder, write

from kdseg.components import DatasetContext
from kdseg_folder import Folder

SETTINGS = ("train.steps=1", "train.workers=0", "train.batch_size=2", "models.student.backbone.base=2")
UNLABELLED = (
    'data.dataset={ use = "synthroad", images = 4, size = [64, 96] }',
    'data.augment=[{ use = "RandomCrop", height = 32, width = 48 }]',
    'models.teacher.backbone={ use = "unet", base = 4 }',
    "models.student.backbone.base=2",
    "terms.mimic.weight=1.0",
    "train.steps_of.student=2",
    "train.batch_size=2",
    "train.workers=0",
)
TRAIN, VAL = "2007_{:03}", "2008_{:03}"
FOLDERS = {
    "photos": [("images/{:03}.jpg", "masks/{:03}_mask.png")],
    "scenes": [("images/a/{:03}.jpg", "masks/a/{:03}_mask.png")],
    "ade20k": [(f"images/{split}/{split}_{{}}.jpg", f"annotations/{split}/{split}_{{}}.png")
               for split in ("training", "validation")],
    "VOC2012": [(f"JPEGImages/{name}.jpg", f"SegmentationClass/{name}.png") for name in (TRAIN, VAL)],
    "pictures": [("images/{:03}.jpg", "masks/{:03}.png")],
    "others": [("images/{:03}.jpg", "masks/{:03}.png")],
    "drives": [(f"frames/{drive}_{{}}.jpg", f"masks/{drive}_{{}}.png") for drive in "abcdef"],
}  # fmt: skip
"""What lies in the folders that the page speaks of."""


@pytest.fixture
def tables(pages):
    """The tables of the data that the page shows, but for those that extend a recipe."""
    blocks = [tomllib.loads(block.text) for block in pages["docs/own_images.md"].blocks if block.language == "toml"]
    return [block["data"] for block in blocks if "dataset" in block["data"]]


def test_three_commands_train_a_student(pages, tmp_path, monkeypatch, kdseg, one_thread):
    monkeypatch.chdir(tmp_path)
    make_folder(tmp_path / "photos", "binary", count=12, image="images/{:03}.jpg", mask="masks/{:03}_mask.png")
    lines = pages["docs/own_images.md"].blocks[0].text.splitlines()
    assert [shlex.split(line)[1] for line in lines] == ["init", "check", "run"]
    for line in lines:
        words = shlex.split(line)[1:]
        if words[0] == "run":
            words += [word for setting in SETTINGS for word in ("--set", setting)]
        status, out, err = kdseg(*words)
        assert status == 0, out + err


def test_every_table_reads_the_folder_that_it_is_for(tables, tmp_path):
    for first, (name, patterns) in enumerate(FOLDERS.items()):
        for number, (image, mask) in enumerate(patterns, 10 * first):
            make_folder(tmp_path / name, "binary", count=5, image=image, mask=mask, first=10 * number)
    for split, name in (("train", TRAIN), ("val", VAL)):
        lines = "\n".join(name.format(number) for number in range(5))
        write(tmp_path / "VOC2012" / "ImageSets" / "Segmentation" / f"{split}.txt", lines.encode())
    assert {table["root"] for data in tables for table in data.values()} == FOLDERS.keys()
    for data in tables:
        by_split = {split: folder_of(data["dataset"] | data.get(split, {}), tmp_path) for split in ("train", "val")}
        for split, folder in by_split.items():
            samples = folder.build(DatasetContext(split=split, seed=0, by_split=by_split))
            assert len(samples)
            assert not samples.defects


def folder_of(table, place):
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items() if key != "use"}
    return Folder(**options | {"root": place / table["root"]})


def test_a_teacher_teaches_on_images_without_labels(pages, root, tmp_path, monkeypatch, kdseg, one_thread):
    monkeypatch.chdir(tmp_path)
    (file,) = pages["docs/own_images.md"].write_files(tmp_path)
    shutil.copy(root / "recipes" / "online_alternating.toml", tmp_path)
    make_folder(tmp_path / "drives", count=6, image="frames/{:03}.jpg")
    status, _, err = kdseg("init", "drives")
    assert status == 2
    told = tomllib.loads(err[err.index("unlabelled = ") :])["unlabelled"]["dataset"]
    said = tomllib.loads(file.read_text(encoding="utf-8"))["data"]["unlabelled"]["dataset"]
    assert told == {**said, "images": "."}  # all that lies below: the same
    settings = [word for setting in UNLABELLED for word in ("--set", setting)]
    status, out, err = kdseg("check", file.name, *settings)
    assert status == 0, out + err
    assert "4 training images of 32x48 and 6 without labels" in out
    status, out, err = kdseg("run", file.name, *settings)
    assert status == 0, out + err
    lines = [json.loads(line) for line in (tmp_path / "runs/unlabelled/latest/metrics.jsonl").read_text().splitlines()]
    assert [line["loss/mimic"] > 0 for line in lines if "loss/mimic" in line] == [True, True]
