"""Planted mistakes: each is told before training, with the file or the key, and the mend."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
from drawn_folder import COLOURS, indices_of, palette_png, write

RECIPE = """
[train]
steps = 1
batch_size = 2
workers = 0

[data.dataset]
use = "folder"
root = "photos"
images = "{{split}}/images"
masks = "{{split}}/masks"
{options}

[models.student]
backbone = {{ use = "unet", base = 2 }}

[terms.labels]
learner = "student"
loss = "cross_entropy"
"""
CLASSES = 'classes = ["sky", "road", "car"]'
COLOUR_VALUES = '"#000000" = "sky", "#804080" = "road", "#00008e" = "car"'


@pytest.fixture
def photos(make):
    """Fourteen images to train on, four to judge by, with their classes' indices as masks."""
    for split, count in (("train", 14), ("val", 4)):
        root = make(count=count, image=f"{split}/images/{{:03}}.png", mask=f"{split}/masks/{{:03}}.png")
    return root


@pytest.fixture
def told(kdseg, workplace):
    """Give what a verb tells of a recipe with these options of the dataset; it has to refuse."""

    def told(verb="check", options=CLASSES, **changes):
        text = RECIPE.format(options=options)
        for key, value in changes.items():
            old = next(line for line in text.splitlines() if line.startswith(f"{key} = "))
            text = text.replace(old, f"{key} = {value}" if value else "")
        (workplace / "recipe.toml").write_text(text, encoding="utf-8")
        status, out, err = kdseg(verb, "recipe.toml")
        assert status == 2, out
        assert not (workplace / "runs").exists()
        return f"{out}{err}"

    return told


def test_the_sound_recipe_passes(photos, kdseg, workplace):
    (workplace / "recipe.toml").write_text(RECIPE.format(options=CLASSES), encoding="utf-8")
    assert kdseg("check", "recipe.toml").status == 0


def strange_value(root):
    write(root / "train/masks/001.png", np.full_like(indices_of(1), 7))


def strange_colour(root):
    for path in root.glob("*/masks/*"):
        write(path, COLOURS[cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)])
    colours = COLOURS[indices_of(1)]
    colours[:4] = 129, 64, 128
    write(root / "train/masks/001.png", colours)


def colours_for_numbers(root):
    write(root / "train/masks/001.png", COLOURS[indices_of(1)])


def compressed(root):
    write(root / "train/masks/001.jpg", indices_of(1)).replace(root / "train/masks/001.png")


def other_size(root):
    write(root / "train/masks/001.png", indices_of(1)[:, :40])


def no_mask(root):
    (root / "train/masks/001.png").unlink()


def no_image(root):
    (root / "train/images/001.png").unlink()


def two_of_a_name(root):
    shutil.copy(root / "train/images/001.png", root / "train/images/001.bmp")


def copy_in_val(root):
    shutil.copy(root / "train/images/001.png", root / "val/images/002.png")


def damaged_image(root):
    path = root / "train/images/001.png"
    path.write_bytes(path.read_bytes()[:200])


def empty_file(root):
    (root / "train/masks/001.png").write_bytes(b"")


def empty_split(root):
    for path in root.glob("val/images/*"):
        path.unlink()


def other_split_folder(root):
    (root / "val").rename(root / "validation")


def other_folder(root):
    (root / "train/images").rename(root / "train/image")


def float_mask(root):
    write(root / "train/masks/001.tiff", indices_of(1).astype(np.float32)).replace(root / "train/masks/001.png")


@pytest.mark.parametrize(
    ("plant", "file", "mend"),
    [
        (
            strange_value,
            "train/masks/001.png",
            (
                "holds the value 7, which no class has (1536 pixels); the 3 classes have 0 "
                "to 2, and 255 is ignored; correct classes, or say in values what each means"
            ),
        ),
        (
            colours_for_numbers,
            "train/masks/001.png",
            "holds colours, where numbers are wanted; say what each colour means",
        ),
        (
            compressed,
            "train/masks/001.png",
            (
                "is compressed with losses, as JPEG is, so its labels are no longer those that "
                "were drawn; export the masks again, as PNG"
            ),
        ),
        (other_size, "train/masks/001.png", "is 32x40, its image 32x48; they must be of one size"),
        (no_mask, "train/images/001.png", "has no mask 001.png"),
        (no_image, "train/masks/001.png", "has no image 001.png"),
        (two_of_a_name, "train/images/001.png", "is a second '001', beside"),
        (
            copy_in_val,
            "val/images/002.png",
            (
                "is a copy of {root}/train/images/001.png, which is in the train split too; "
                "scores on images that were learned from mean nothing: leave it in one of the two"
            ),
        ),
        (damaged_image, "train/images/001.png", "is no image that can be decoded; it may be truncated"),
        (empty_file, "train/masks/001.png", "is no image that can be decoded"),
        (empty_split, "val/images", "no file fits images = 'val/images'; the folder is empty"),
        (
            other_split_folder,
            "val",
            (
                "there is no such folder, which images = 'val/images' names; did you mean 'validation'"
                '?; where that folder has another name, say split_names = {{ val = "…" }}'
            ),
        ),
        (
            other_folder,
            "train/images",
            "there is no such folder, which images = 'train/images' names; did you mean 'image'?",
        ),
        (float_mask, "train/masks/001.png", "holds float32 values; a mask's are whole numbers of 8 or 16 bits"),
    ],
)
def test_a_file_that_is_wrong_is_named_with_the_mend(plant, file, mend, photos, told):
    plant(photos)
    found = told()
    assert f"{photos / file}: {mend.format(root=photos)}" in found
    assert "recipe.toml:" in found


def test_a_colour_that_no_class_has_is_told(photos, told):
    strange_colour(photos)
    text = told(options=f"values = {{ {COLOUR_VALUES} }}")
    assert "train/masks/001.png: holds the colour #814080, which no class has (192 pixels); list it in values" in text


@pytest.mark.parametrize(
    ("options", "key", "mend"),
    [
        ('classes = ["sky", "road", "sky"]', "classes", "the class 'sky' is listed twice; each has a name of its own"),
        ('values = { "#aabbcc" = "a", "#AABBCC" = "b" }', "values", "lists #AABBCC twice, as 'a' and as 'b'; keep one"),
        (
            'values = { 0 = "a", "#aabbcc" = "b" }',
            "values",
            "holds colours (#aabbcc) and numbers (0); masks have one of the",
        ),
        (f'{CLASSES}\nvalues = {{ 0 = "raod" }}', "values", "0 is 'raod', which is no class; did you mean 'road'?"),
        (
            f'{CLASSES}\nvalues = {{ x = "road" }}',
            "values",
            "'x' is no value of a mask; write a number from 0 to 65535",
        ),
        (
            f'{CLASSES}\nvalues = {{ "#12" = "road" }}',
            "values",
            "'#12' is no colour; write red, green and blue as \"#804080\"",
        ),
        (
            f'{CLASSES}\ncolours = {{ sky = "#000000", car = "#000000" }}',
            "colours",
            "#000000 is the colour of 'sky' and of",
        ),
        (f'{CLASSES}\ncolours = {{ bus = "#000000" }}', "colours", "no class is called 'bus'"),
        (f'{CLASSES}\ncategories = {{ sky = "far" }}', "categories", "the class 'road' has no category; give all"),
        (f"{CLASSES}\nval_share = 0.2", "val_share", "the splits are said twice: by a share, and by {split} in images"),
        (
            f'{CLASSES}\nlists = "all.txt"',
            "lists",
            "'all.txt' would list the same images for every split; write {split}",
        ),
        (f'{CLASSES}\ngroup = "^("', "group", "'^(' is no regular expression: missing ), unterminated subpattern"),
        (f'{CLASSES}\ngroup = "^x"', "group", "'^x' has no parentheses; what the first ones fit names the group"),
        (
            f'{CLASSES}\nsplit_names = {{ valid = "x" }}',
            "split_names",
            "no split is called 'valid'; did you mean 'val'?",
        ),
        ('values = { 0 = "a" }\nreduce_zero_label = true', "values", "reduce_zero_label and values exclude each other"),
    ],
)
def test_an_option_that_is_wrong_has_its_line_and_the_mend(options, key, mend, photos, told):
    lines = RECIPE.format(options=options).splitlines()
    line = next(number for number, text in enumerate(lines, 1) if text.startswith(key))
    assert f"recipe.toml:{line}: data.dataset.{key}: {mend}" in told(options=options)


def test_without_classes_it_is_told_how_to_say_them(photos, told):
    assert 'no classes are said; write classes = ["road", "car"], or values' in told(options="")


def test_a_split_of_which_nothing_is_said_is_told(photos, told):
    text = told(images='"train/images"', masks='"train/masks"')
    assert "nothing says which images are the val split's; write {split} into images and masks" in text


def test_a_placeholder_that_is_unknown_is_told(photos, told):
    assert "data.dataset.images: knows no {stem}; {split} stands for" in told(images='"{split}/{stem}.png"')


def test_a_root_that_is_not_there_is_told_with_the_nearest(photos, told):
    text = told(root='"photo"')
    assert "photo: there is no such folder, which root = " in text
    assert "did you mean 'photos'?" in text


def test_lists_are_told_by_line(photos, told):
    (photos / "train.txt").write_text("001\n# more\n001\nimages/oo2.png\n", encoding="utf-8")
    (photos / "val.txt").write_text("001\n003\n", encoding="utf-8")
    text = told(options=f'{CLASSES}\nlists = "{{split}}.txt"', images='"train/images"', masks='"train/masks"')
    assert "train.txt: line 3: lists '001' a second time; once is right" in text
    assert "train.txt: line 4: no image is called 'images/oo2.png'" in text
    assert "train/images/001.png: is in the train split too" in text
    (photos / "train.txt").write_text("004\n005\n", encoding="utf-8")
    (photos / "val.txt").unlink()
    text = told(options=f'{CLASSES}\nlists = "{{split}}.txt"', images='"train/images"', masks='"train/masks"')
    assert "val.txt: there is no such list of images" in text
    assert "train.txt" in text


def test_images_of_no_group_and_groups_too_few_are_told(photos, told):
    share = f"{CLASSES}\nval_share = 0.3\ngroup = "
    whole = {"images": '"train/images"', "masks": '"train/masks"'}
    text = told(options=f'{share}"^(0)"', **whole)
    assert "14 images in 1 groups cannot be shared out to 2 splits; a group stays together: make group finer" in text
    text = told(options=f'{share}"^(0[01][1-9])"', **whole)
    assert "000.png: belongs to no group: group = '^(0[01][1-9])' does not fit '000'" in text


@pytest.mark.parametrize("verb", ["data", "run"])
def test_a_value_in_many_masks_is_told_once_with_how_often(verb, photos, told):
    for path in sorted(photos.glob("train/masks/*"))[-5:]:
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        mask[:2, :5] = 9
        write(path, mask)
    text = told(verb, options=CLASSES.replace("]", ', "a", "b", "c", "d", "e", "f"]'))
    (line,) = [line for line in text.splitlines() if "which no class has" in line]
    first, second = (photos / f"train/masks/{name}.png" for name in ("009", "010"))
    assert f"{first}: holds the value 9, which no class has (50 pixels in 5 files)" in line
    assert f"and so 4 more files, {second} the next of them" in line


def test_programs_get_every_defect(photos, kdseg, workplace):
    for path in photos.glob("train/masks/*"):
        path.unlink()
    write(photos / "train/masks/003.png", palette_png(indices_of(3)))
    (workplace / "recipe.toml").write_text(RECIPE.format(options=CLASSES), encoding="utf-8")
    assert kdseg("check", "recipe.toml").err.count("has no mask") == 1
    status, out, _ = kdseg("data", "recipe.toml", "--json")
    assert status == 2
    assert len(json.loads(out)["train"]["defects"]) == 13


def test_values_that_are_not_listed_are_ignored_when_asked(photos, kdseg, workplace):
    strange_value(photos)
    (workplace / "recipe.toml").write_text(RECIPE.format(options=f'{CLASSES}\nothers = "ignore"'), encoding="utf-8")
    status, out, _ = kdseg("data", "recipe.toml", "--json")
    assert status == 0
    assert json.loads(out)["train"]["ignored"] == pytest.approx(1 / 14)
