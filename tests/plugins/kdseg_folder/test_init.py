"""From a folder to a trained student in three commands, without a line of Python."""

from __future__ import annotations

import json
import tomllib

import cv2
import numpy as np
import pytest
from drawn_folder import COLOURS, HEIGHT, WIDTH, image_of, indices_of, write

from kdseg.components import DatasetContext
from kdseg_folder import Folder

NAMES = {
    "palette": ["class_0", "class_1", "class_2"],
    "binary": ["background", "foreground"],
    "colours": ["colour_000000", "colour_00008e", "colour_804080"],
    "one_based": ["class_1", "class_2", "class_3"],
    "deep": ["class_0", "class_1000", "class_2000"],
    "indices": ["class_0", "class_1", "class_2"],
}
LAYOUTS = {
    "two folders": ("images/{:03}.jpg", "masks/{:03}.png", "images", "masks"),
    "an ending": ("images/{:03}.jpg", "masks/{:03}_mask.png", "images", "masks/*_mask.png"),
    "both endings": ("a/{:03}_image.png", "a/{:03}_label.png", "a/*_image.png", "a/*_label.png"),
    "side by side": ("all/{:03}.jpg", "all/{:03}.png", "all/*.jpg", "all/*.png"),
    "beside the mask": ("{:03}.png", "{:03}_mask.png", ".", "*_mask.png"),
    "masks below": ("pictures/{:03}.png", "pictures/gt/{:03}.png", "pictures", "pictures/gt"),
    "unspoken": ("x/{:03}.png", "y/{:03}.png", "x", "y"),
}


def proposed(kdseg):
    status, out, err = kdseg("init", "photos", "--json")
    assert status == 0, err
    return json.loads(out)


def samples(options, root, split="train"):
    table = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    return Folder(root=root, **table).build(DatasetContext(split=split, seed=0))


@pytest.mark.parametrize("encoding", NAMES)
def test_three_commands_give_a_student(encoding, make, kdseg, workplace):
    make(encoding)
    assert kdseg("init", "photos").status == 0
    status, out, _ = kdseg("check", "recipe.toml")
    assert status == 0, out
    assert "32 training images of 32x48, 8 validation images" in out
    settings = ("train.steps=1", "train.batch_size=2", "train.workers=0", "evaluate.batch_size=8")
    settings += ("models.student.backbone={ use = 'unet', base = 2 }",)
    status, out, err = kdseg("run", "recipe.toml", *(word for one in settings for word in ("--set", one)))
    assert status == 0, err

    import kdseg as package

    student = package.load(workplace / "runs" / "recipe")
    assert list(student.classes) == NAMES[encoding]
    assert student.predict(image_of(0)).shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize("encoding", NAMES)
def test_what_is_proposed_reads_the_masks_as_they_were_drawn(encoding, make, kdseg):
    root = make(encoding, count=10)
    found = proposed(kdseg)
    read = samples(found["options"], root)
    assert len(read) == found["images"]["train"] == 8
    order = np.array({"binary": [0, 1, 1], "colours": [0, 2, 1]}.get(encoding, [0, 1, 2]), np.uint8)
    for index in range(len(read)):
        sample = read[index]
        assert (sample.mask == order[indices_of(int(sample.id))]).all()
    assert sum(found["values"].values()) == pytest.approx(1)
    assert found["sizes"] == {f"{HEIGHT}x{WIDTH}": 10}
    if encoding == "palette":
        assert found["options"]["colours"] == {
            f"class_{number}": "#{:02x}{:02x}{:02x}".format(*colour) for number, colour in enumerate(COLOURS)
        }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_and_masks_are_found(layout, make, kdseg):
    image, mask, images, masks = LAYOUTS[layout]
    root = make(count=10, image=image, mask=mask)
    options = proposed(kdseg)["options"]
    assert (options["images"], options["masks"]) == (images, masks)
    assert len(samples(options, root)) == 8


@pytest.mark.parametrize(
    ("image", "mask", "words"),
    [
        ("{split}/images/{{:03}}.jpg", "{split}/masks/{{:03}}.png", ("train", "val")),
        ("images/{split}/{{:03}}.jpg", "annotations/{split}/{{:03}}.png", ("training", "validation")),
        ("{split}/{{:03}}.jpg", "{split}annot/{{:03}}.png", ("train", "val")),
        ("{split}_images/a/{{:03}}.jpg", "{split}_masks/a/{{:03}}.png", ("train", "test")),
    ],
)
def test_folders_of_splits_are_found(image, mask, words, make, kdseg):
    for count, word in zip((6, 4), words, strict=True):
        root = make(count=count, image=image.format(split=word), mask=mask.format(split=word))
    options = proposed(kdseg)["options"]
    assert "{split}" in options["images"]
    assert options.get("split_names", {}) == {
        split: word for split, word in zip(("train", "val"), words, strict=True) if split != word
    }
    assert (len(samples(options, root)), len(samples(options, root, "val"))) == (6, 4)


CLASS_FILES = {
    "palette": ("classes.txt", "ground\nwall\ncar", ["ground", "wall", "car"]),
    "binary": ("labels.txt", "crack", ["background", "crack"]),
    "colours": ("class_dict.csv", "name,r,g,b\nWall,128,64,128\nCar,0,0,142\nVoid,0,0,0", ["Wall", "Car"]),
    "one_based": ("label_names.json", '["ground", "wall", "car"]', ["ground", "wall", "car"]),
    "deep": ("id2label.json", '{"0": "ground", "1000": "wall", "2000": "car"}', ["ground", "wall", "car"]),
    "indices": ("sets/obj.names", "ground\nwall\ncar\nsky", ["ground", "wall", "car", "sky"]),
}


@pytest.mark.parametrize("encoding", CLASS_FILES)
def test_a_file_of_names_that_lies_near_names_the_classes(encoding, make, kdseg, workplace):
    root = make(encoding, count=10)
    name, text, names = CLASS_FILES[encoding]
    write(root / name, text.encode())
    status, out, _ = kdseg("init", "photos")
    assert status == 0
    file = name.rpartition("/")[2]
    assert f"assumed: The classes are called as {file} lists them, " in out
    recipe = (workplace / "recipe.toml").read_text(encoding="utf-8")
    assert f"# - The classes are called as {file} lists them, " in recipe
    assert "give them their names" not in recipe
    options = tomllib.loads(recipe)["data"]["dataset"]
    del options["use"], options["root"]
    assert list(Folder(root=root, **{**options, "classes": tuple(options.get("classes", ()))}).names) == names
    assert kdseg("check", "recipe.toml").status == 0


def test_a_file_that_does_not_fit_is_left_out_and_another_may_be_named(make, kdseg, workplace):
    root = make(count=10)
    write(root / "classes.txt", b"ground")
    write(workplace / "mine.txt", b"a\nb\nc")
    found = proposed(kdseg)
    assert found["options"]["classes"] == ["class_0", "class_1", "class_2"]
    assert any(text.endswith("lists 1 classes, and the masks hold numbers up to 0, 1, 2: it was left out.")
               for text in found["assumed"])  # fmt: skip
    assert kdseg("init", "photos", "--force", "--classes", "mine.txt").status == 0
    assert tomllib.loads((workplace / "recipe.toml").read_text())["data"]["dataset"]["classes"] == ["a", "b", "c"]
    for file, told in (("photos/classes.txt", "lists 1 classes, and the masks"), ("none.txt", "cannot be read: No")):
        status, _, err = kdseg("init", "photos", "--force", "--classes", file)
        assert (status, err.partition(": ")[0]) == (2, file)
        assert told in err


def test_linked_folders_are_looked_into(make, kdseg, workplace):
    root = make(count=10)
    for name in ("images", "masks"):
        (root / name).rename(workplace / name)
        (root / name).mkdir()
        (root / name / "all").symlink_to(workplace / name)
    (root / "images/back").symlink_to(root)
    options = proposed(kdseg)["options"]
    assert (options["images"], options["masks"]) == ("images/all", "masks/all")
    assert len(samples(options, root)) == 8


def test_lists_of_splits_are_found(make, kdseg):
    root = make(count=10)
    write(root / "sets" / "train.txt", "\n".join(f"{number:03}" for number in range(7)).encode())
    write(root / "sets" / "val.txt", "\n".join(f"images/{number:03}.jpg" for number in range(7, 10)).encode())
    found = proposed(kdseg)
    assert found["options"]["lists"] == "sets/{split}.txt"
    assert found["images"] == {"train": 7, "val": 3}
    assert [one.id for one in samples(found["options"], root, "val")] == ["007", "008", "009"]


def test_frames_of_a_sequence_stay_together(make, kdseg):
    for sequence in "abcde":
        root = make(count=6, image=f"images/{sequence}_{{:03}}.jpg", mask=f"masks/{sequence}_{{:03}}.png")
    options = proposed(kdseg)["options"]
    train, val = ({one.id[0] for one in samples(options, root, split)} for split in ("train", "val"))
    assert train | val == set("abcde")
    assert not train & val


def test_large_images_of_several_sizes_are_cropped_and_judged_one_by_one(make, kdseg, workplace):
    root = make(count=10)
    for number, size in enumerate([(900, 40), (600, 64)] * 5):
        write(root / "images" / f"{number:03}.jpg", cv2.resize(image_of(number), size[::-1]))
        write(root / "masks" / f"{number:03}.png", cv2.resize(indices_of(number), size[::-1], interpolation=0))
    assert kdseg("init", "photos", "-o", "deep/mine.toml").status == 0
    recipe = tomllib.loads((workplace / "deep" / "mine.toml").read_text(encoding="utf-8"))
    assert recipe["data"]["augment"][0]["height"] == 512
    assert recipe["evaluate"]["batch_size"] == 1
    assert recipe["data"]["dataset"]["root"] == str(root)
    assert kdseg("check", "deep/mine.toml").status == 0


def test_nothing_is_written_over_unasked(make, kdseg, workplace):
    make(count=5)
    (workplace / "recipe.toml").write_text("mine", encoding="utf-8")
    status, out, err = kdseg("init", "photos")
    assert (status, out) == (2, "")
    assert "recipe.toml is there already; -o names another file, --force writes over it" in err
    assert (workplace / "recipe.toml").read_text(encoding="utf-8") == "mine"
    assert kdseg("init", "photos", "--force").status == 0
    assert "kdseg init" in (workplace / "recipe.toml").read_text(encoding="utf-8")


def lose_all(root):
    for file in (*root.glob("*/*"),):
        file.unlink()


def lose_masks(root):
    for file in root.glob("masks/*"):
        file.unlink()


def rename_masks(root):
    for number, file in enumerate(sorted(root.glob("masks/*"))):
        file.rename(file.with_name(f"m{number}.png"))


def compress(root):
    write(root / "masks" / "003.jpg", cv2.imread(str(root / "masks" / "003.png")))
    (root / "masks" / "003.jpg").replace(root / "masks" / "003.png")


def smooth(root):
    for number in range(5):
        write(
            root / "masks" / f"{number:03}.png", cv2.GaussianBlur(cv2.resize(image_of(number), (480, 320)), (9, 9), 5)
        )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lose_all, "photos: holds no image; files that end in .png, .jpg"),
        (lose_masks, "photos: there are images, but no masks to learn from"),
        (rename_masks, "no mask has the name of an image: there are images/000.jpg and masks/m0.png"),
        (compress, "masks/003.png: is compressed with losses, as JPEG is"),
        (smooth, "is more than classes may be; masks that were smoothed, resized or compressed must be exported again"),
    ],
)
def test_what_cannot_be_proposed_is_told(change, told, make, kdseg, workplace):
    change(make(count=5))
    status, out, err = kdseg("init", "photos")
    assert (status, out) == (2, "")
    assert told in err
    assert not (workplace / "recipe.toml").exists()


def test_a_folder_that_is_not_there_is_told(kdseg, workplace):
    status, _, err = kdseg("init", "nowhere")
    assert (status, err) == (2, "nowhere: there is no such folder\n")
