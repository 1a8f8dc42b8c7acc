"""Frames without masks beside a labelled folder."""

from __future__ import annotations

from drawn_folder import make_folder

RECIPE = """
[train]
steps = 1
batch_size = 2
workers = 0

[data]
unlabelled = { dataset = { use = "folder", root = "drives", images = "*/*.jpg" }, share = 0.5 }

[data.dataset]
use = "folder"
root = "photos"
images = "images"
masks = "masks"
val_share = 0.5
classes = ["a", "b", "c"]

[models.teacher]
backbone = { use = "unet", base = 4 }

[models.student]
backbone = { use = "unet", base = 2 }

[terms.teacher]
learner = "teacher"
loss = "cross_entropy"

[terms.mimic]
learner = "student"
source = "teacher"
loss = "pixel_kl"
on = "all"
"""


def test_a_teacher_teaches_on_frames_that_have_no_masks(make, kdseg, workplace):
    make(count=8)
    make_folder(workplace / "drives", count=6, image="clip/{:03}.jpg", first=8)
    (workplace / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    status, out, err = kdseg("check", "recipe.toml")
    assert status == 0, err
    assert "4 training images of 32x48 and 6 without labels, 4 validation images" in out
    assert kdseg("run", "recipe.toml").status == 0


def test_what_init_says_of_images_alone_is_such_a_table(make, kdseg, workplace):
    make(count=8)
    make_folder(workplace / "drives", count=6, image="{:03}.jpg", first=8)
    status, _, err = kdseg("init", "drives")
    assert status == 2
    table = err[err.index("unlabelled = ") :].strip()
    line = next(line for line in RECIPE.splitlines() if line.startswith("unlabelled"))
    (workplace / "recipe.toml").write_text(RECIPE.replace(line, table), encoding="utf-8")
    assert kdseg("check", "recipe.toml").status == 0
