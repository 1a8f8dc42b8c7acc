"""Splits: by a share that keeps groups together, by lists, and by folders; and what `**` and endings find."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdseg.components import DatasetContext
from kdseg_folder import Folder
from kdseg_folder.patterns import find
from kdseg_folder.shares import share_out

groups = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=4), st.integers(1, 9), min_size=4, max_size=30).map(
    lambda sizes: {name: [f"{name}/{number}" for number in range(size)] for name, size in sizes.items()}
)


@given(groups=groups, val=st.floats(0.05, 0.5), test=st.floats(0.05, 0.4), seed=st.integers(0, 99), data=st.data())
def test_groups_stay_together_and_shares_are_near(groups, val, test, seed, data):
    shares = {"val": val, "test": test}
    found = share_out(groups, shares, seed)
    whole = sum(map(len, groups.values()))
    largest = max(map(len, groups.values()))
    assert not found["val"] & found["test"]
    assert len(found["val"] | found["test"]) < whole
    for split, keys in found.items():
        assert keys
        assert all(set(those) <= keys or not set(those) & keys for those in groups.values())
        left = [those for those in groups.values() if not any(set(those) <= other for other in found.values())]
        if len(left) > 1:  # else the others had to leave something
            assert abs(len(keys) - shares[split] * whole) <= largest
    shuffled = {name: groups[name] for name in data.draw(st.permutations(list(groups)))}
    assert share_out(shuffled, shares, seed) == found


@given(groups=groups)
def test_another_seed_gives_other_splits(groups):
    some = [share_out(groups, {"val": 0.4}, seed)["val"] for seed in range(20)]
    assert any(one != some[0] for one in some)


def ids(folder, split, seed=0):
    samples = folder.build(DatasetContext(split=split, seed=seed))
    assert not samples.defects
    return [samples.ids[index] for index in range(len(samples))]


def test_splits_hold_each_image_once_and_do_not_follow_the_recipes_seed(make):
    root = make(count=20, image="images/s{0:03}.jpg")
    for options in ({}, {"group": "^s0[0-9]*([0-9])"}):
        folder = Folder(root=root, images="images", val_share=0.3, test_share=0.2, **options)
        parts = [ids(folder, split) for split in folder.splits]
        assert sorted(one for part in parts for one in part) == [f"s{number:03}" for number in range(20)]
        assert parts == [ids(folder, split, seed=7) for split in folder.splits]


def test_lists_name_images_by_key_name_or_path(make):
    root = make(count=6, image="images/a/{:03}.jpg", mask="masks/a/{:03}.png")
    (root / "train.txt").write_text(f"a/000\n001\n002.jpg\n\n# no more\n{root}/images/a/003.jpg 7\n", encoding="utf-8")
    (root / "val.txt").write_text("./images/a/004.jpg masks/a/004.png\n", encoding="utf-8-sig")
    folder = Folder(root=root, images="images", masks="masks", lists="{split}.txt", classes=("x", "y", "z"))
    assert ids(folder, "train") == ["a/000", "a/001", "a/002", "a/003"]
    assert ids(folder, "val") == ["a/004"]


def test_images_may_be_parted_by_folders_while_masks_are_not(make):
    for split in ("train", "val"):
        root = make(count=3, image=f"{split}/{split}_{{}}.jpg", mask=f"masks/{split}_{{}}_mask.png")
    folder = Folder(root=root, images="{split}", masks="masks/*_mask.png", classes=("x", "y", "z"))
    assert ids(folder, "val") == ["val_0", "val_1", "val_2"]


def test_images_without_masks_have_no_labels(make):
    root = make(count=3, mask="")
    samples = Folder(root=root, images="images/*.jpg").build(DatasetContext(split="train", seed=0))
    assert [samples[index].mask for index in range(3)] == [None] * 3


FILES = [
    "a/1.png", "a/1_mask.png", "a/b/2.JPG", "a/b/2_mask.png", "a/.hidden.png", ".git/3.png", "a/notes.txt",
    "c/deep/er/4.tif",
]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        (".", ["a/1", "a/1_mask", "a/b/2", "a/b/2_mask", "c/deep/er/4"]),
        ("a", ["1", "1_mask", "b/2", "b/2_mask"]),
        ("a/*", ["1", "1_mask"]),
        ("a/*_mask.png", ["1"]),
        ("a/**/*_mask.png", ["1", "b/2"]),
        ("**/*_mask.png", ["a/1", "a/b/2"]),
        ("*/*/?.JPG", ["a/b/2"]),
        ("c/**", ["deep/er/4"]),
        ("c/*/*/*.tif", ["deep/er/4"]),
        ("a/*.txt", ["notes"]),
    ],
)
def test_keys_are_what_wildcards_stand_for(pattern, keys, tmp_path):
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert sorted(find(tmp_path, pattern, "images").by_stem) == keys
    assert sorted(find(tmp_path / "a", f"{tmp_path}/{pattern}", "images").by_stem) == keys


def test_linked_folders_are_as_those_that_lie_there(tmp_path):
    for name in FILES:
        (tmp_path / "disk" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "disk" / name).touch()
    (tmp_path / "images").mkdir()
    (tmp_path / "images/part").symlink_to(tmp_path / "disk/a")
    (tmp_path / "disk/a/back").symlink_to(tmp_path)
    found = find(tmp_path, "images", "images").by_stem
    assert sorted(found) == ["part/1", "part/1_mask", "part/b/2", "part/b/2_mask"]
    assert sorted(find(tmp_path, "images/**/*_mask.png", "images").by_stem) == ["part/1", "part/b/2"]


TABLES = """
[train]
steps = 1
batch_size = 2
workers = 0

[data]
dataset = {{ use = "folder", root = "photos/one", images = "images", masks = "masks", classes = ["a", "b", "c"] }}
val = {{ {val} }}

[models.student]
backbone = {{ use = "unet", base = 2 }}

[terms.labels]
learner = "student"
loss = "cross_entropy"
"""


@pytest.fixture
def checked(make, kdseg, workplace):
    """Check a recipe whose splits have tables of their own, over two folders of images that differ."""
    for part in ("one", "two"):
        make(count=4, image=f"{part}/images/{{:03}}.png", mask=f"{part}/masks/{{:03}}.png")

    def checked(val):
        (workplace / "recipe.toml").write_text(TABLES.format(val=val), encoding="utf-8")
        return kdseg("check", "recipe.toml")

    return checked


def test_splits_may_lie_in_folders_that_tables_of_their_own_name(checked):
    status, out, err = checked('root = "photos/two"')
    assert status == 0, err
    assert "4 training images of 32x48, 4 validation images" in out


def test_an_image_that_two_such_tables_find_is_told(checked, workplace):
    shutil.copy(workplace / "photos/one/images/001.png", workplace / "photos/two/images/002.png")
    status, _, err = checked('root = "photos/two"')
    assert status == 2
    one, two = workplace / "photos/one/images", workplace / "photos/two/images"
    assert f"data.val: {two}/002.png: is a copy of {one}/001.png, which is in the train split too; " in err
    status, _, err = checked('root = "photos", images = "*/images", masks = "*/masks"')
    assert status == 2
    assert f"data.val: {one}/000.png: is in the train split too; " in err


def test_the_same_table_twice_says_of_no_split_which_images_it_has(checked):
    status, _, err = checked('root = "photos/one"')
    assert status == 2
    assert "nothing says which images are the val split's" in err
