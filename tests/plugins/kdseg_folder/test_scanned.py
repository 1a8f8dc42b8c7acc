"""What shows only when all images are read is told before a run begins: sizes that would end it, classes unseen."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_folder import image_of, indices_of, write

RECIPE = """
[train]
steps = 1
batch_size = 2
workers = 0

[evaluate]
batch_size = 2

[data]
augment = [{augment}]

[data.dataset]
use = "folder"
root = "photos"
images = "{{split}}/images"
masks = "{{split}}/masks"
classes = ["sky", "road", "car"]

[models.student]
backbone = {{ use = "unet", base = 2 }}

[terms.labels]
learner = "student"
loss = "cross_entropy"
"""
CROP = '{ use = "RandomCrop", height = 32, width = 48 }'


@pytest.fixture
def photos(make):
    """Fourteen images of 32x48 to train on, as many to judge by."""
    for split in ("train", "val"):
        root = make(count=14, image=f"{split}/images/{{:03}}.png", mask=f"{split}/masks/{{:03}}.png")
    return root


@pytest.fixture
def run(kdseg, workplace):
    def run(augment=CROP, *settings):
        (workplace / "recipe.toml").write_text(RECIPE.format(augment=augment), encoding="utf-8")
        return kdseg("run", "recipe.toml", *(part for setting in settings for part in ("--set", setting)))

    return run


def resize(root, split, number, height, width):
    for kind, drawn in (("images", image_of(number)), ("masks", indices_of(number))):
        larger = np.tile(drawn, (3, 3, 1)[: drawn.ndim])
        write(root / split / kind / f"{number:03}.png", larger[:height, :width])


def test_a_batch_of_two_sizes_is_told_before_the_evaluation_that_it_would_end(photos, run, workplace):
    resize(photos, "val", 11, 40, 48)
    found = run()
    assert found.status == 2
    assert (
        f"evaluate.batch_size: images of different sizes cannot share a batch: {photos}/val/images/010.png is 32x48 "
        f"and {photos}/val/images/011.png is 40x48, and 1 of 7 batches of the val split hold such; set "
        "evaluate.batch_size = 1"
    ) in found.err
    assert not (workplace / "runs").exists()
    assert run(CROP, "evaluate.batch_size=1").status == 0


def test_sizes_may_differ_from_batch_to_batch(photos, run):
    resize(photos, "val", 10, 40, 48)
    resize(photos, "val", 11, 40, 48)
    assert run().status == 0


@pytest.mark.parametrize(("height", "width"), [(33, 47), (31, 60)])
def test_an_image_that_is_smaller_than_its_crop_is_told(photos, run, workplace, height, width):
    resize(photos, "train", 12, height, width)
    found = run()
    assert found.status == 2
    assert f"data.augment.0: fails on an image of {height}x{width}: CropSizeError" in found.err
    assert f"{photos}/train/images/012.png is {height}x{width}: leave it out, or make it larger first" in found.err
    assert not (workplace / "runs").exists()
    assert run(f'{{ use = "PadIfNeeded", min_height = 32, min_width = 48 }}, {CROP}').status == 0


def test_training_images_that_stay_of_two_sizes_are_told_but_where_each_is_a_batch(photos, run):
    resize(photos, "train", 13, 48, 48)
    found = run('{ use = "HorizontalFlip" }')
    assert found.status == 2
    assert f"{photos}/train/images/013.png is 48x48; augmented, they are " in found.err
    assert "end data.augment with a crop or a resize" in found.err
    assert run('{ use = "HorizontalFlip" }', "train.micro_batches=2").status == 0


def test_an_image_that_no_network_takes_is_told_in_either_split(photos, run):
    resize(photos, "val", 12, 24, 48)
    found = run(CROP, "evaluate.batch_size=1")
    assert f"{photos}/val/images/012.png is 24x48; networks take images of 32x32 or more" in found.err
    resize(photos, "val", 12, 32, 48)
    resize(photos, "train", 12, 24, 48)
    found = run("", "train.micro_batches=2")
    assert f"{photos}/train/images/012.png, augmented, is 24x48; networks take images of 32x32 or more" in found.err


def test_a_scale_at_which_an_image_is_too_small_is_told_with_the_image(photos, run):
    for number in range(14, 28):
        write(photos / f"val/images/{number - 14:03}.png", np.tile(image_of(number), (2, 2, 1)))
        write(photos / f"val/masks/{number - 14:03}.png", np.tile(indices_of(number), (2, 2)))
    resize(photos, "val", 12, 60, 96)
    found = run(CROP, "evaluate.batch_size=1", "evaluate.scales=[0.5, 1]")
    assert found.status == 2
    assert f"evaluate.scales: {photos}/val/images/012.png: at scale 0.5 an image of 60x96 is 30x48" in found.err


def test_a_class_that_no_training_image_shows_is_told_in_the_run(photos, run, workplace):
    assert run(CROP, "evaluate.batch_size=1").status == 0
    log = workplace / "runs/recipe/latest/log.txt"
    assert "no training image shows" not in log.read_text(encoding="utf-8")
    for number in range(14):
        write(photos / f"train/masks/{number:03}.png", np.minimum(indices_of(number), 1))
    assert run().status == 0
    line = "data.dataset: no training image shows car: labels cannot teach what they do not hold"
    assert log.read_text(encoding="utf-8").count(line) == 1
