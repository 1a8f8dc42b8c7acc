"""The dataset `huggingface`: rows of a saved dataset or of parquet files become samples."""

from __future__ import annotations

import pickle
from importlib import metadata

import numpy as np
import pytest
from drawn_folder import HEIGHT, WIDTH, image_of, indices_of

from kdseg import DatasetContext, KdsegError
from kdseg_huggingface import HuggingFace

kept = pytest.importorskip("hugging_face", reason="the extra huggingface is not installed")
datasets, encoded, rows = kept.datasets, kept.encoded, kept.rows

NAMES = ("ground", "wall", "car")
RECIPE = """
[train]
steps = 2
batch_size = 2
workers = 0

[data]
dataset = { use = "huggingface", root = "drawn", classes = ["ground", "wall", "car"] }

[models.student]
backbone = { use = "unet1m", base = 2 }

[terms.labels]
learner = "student"
loss = "cross_entropy"
"""


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def saved(*, val="validation", **options):
        whole = datasets.DatasetDict({"train": rows(0, **options), val: rows(10, **options)})
        whole.save_to_disk(str(tmp_path / "drawn"))
        return tmp_path / "drawn"

    return saved


def opened(root, split="train", **options):
    return HuggingFace(root=root, **{"classes": NAMES, **options}).build(DatasetContext(split=split, seed=0))


@pytest.mark.parametrize(
    ("encoding", "options"),
    [
        ("indices", {}),
        ("palette", {}),
        ("one_based", {"reduce_zero_label": True}),
        ("deep", {"classes": (), "values": {"0": "ground", "1000": "wall", "2000": "car"}}),
        ("colours", {"classes": (), "values": {"#000000": "ground", "#804080": "wall", "#00008e": "car"}}),
    ],
)
def test_rows_of_a_saved_dataset_are_samples(saved, encoding, options):
    root = saved(encoding=encoding)
    for split, first in (("train", 0), ("val", 10)):
        samples = opened(root, split, **options)
        assert len(samples) == 4
        for index, sample in enumerate(samples[n] for n in range(4)):
            assert sample.id == f"{index:06}"
            assert np.array_equal(sample.mask, indices_of(first + index))
            assert np.abs(sample.image.astype(int) - image_of(first + index)).mean() < 20  # a JPEG


def test_workers_get_the_same(saved):
    samples = opened(saved())
    again = pickle.loads(pickle.dumps(samples))
    assert np.array_equal(again[2].image, samples[2].image)
    assert np.array_equal(again[2].mask, samples[2].mask)


def test_parquet_files_are_a_dataset_too(tmp_path):
    for split, first in (("train", 0), ("validation", 10)):
        rows(first, image="picture", mask="label").to_parquet(
            str(tmp_path / "data" / f"{split}-00000-of-00001.parquet")
        )
    options = {"files": "data/{split}-*.parquet", "image": "picture", "mask": "label"}
    for split, first in (("train", 0), ("val", 10)):
        assert np.array_equal(opened(tmp_path, split, **options)[3].mask, indices_of(first + 3))
    with pytest.raises(KdsegError, match=r"no split is called 'test', as test would be .* no file fits files = "):
        opened(tmp_path, "test", **options)


def test_splits_may_have_other_names_and_images_no_masks(saved):
    root = saved(val="held_out")
    with pytest.raises(KdsegError, match=r"called 'validation' or 'val', .*; it has train, held_out"):
        opened(root, "val")
    sample = opened(root, "val", split_names={"val": "held_out"}, mask="")[0]
    assert sample.mask is None
    assert sample.image.shape == (HEIGHT, WIDTH, 3)


def test_a_student_learns_from_it(saved, kdseg, one_thread):
    root = saved()
    (root.parent / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    status, out, err = kdseg("run", "recipe.toml")
    assert status == 0, out + err


@pytest.mark.parametrize(
    ("changes", "options", "text"),
    [
        (
            {},
            {"mask": "masks"},
            r"has no column 'masks'; did you mean 'mask'\?; it has image, mask, number; say mask = ",
        ),
        ({}, {"image": "number"}, "the column 'number' holds no images, but "),
        ({}, {"classes": ("ground", "wall")}, r"mask\[0\]: holds the value 2, which no class has"),
        ({"mask": [encoded(indices_of(n), ".jpg") for n in range(4)]}, {}, r"mask\[0\]: is compressed with losses"),
        ({"mask": [encoded(indices_of(n)[:8]) for n in range(4)]}, {}, r"mask\[0\]: is 8x48, its image 32x48"),
        ({"image": [b"no picture"] * 4}, {}, r"drawn/train/image\[0\]: is no image that can be decoded"),
        ({"mask": [None, *[encoded(indices_of(n)) for n in range(3)]]}, {}, r"mask\[0\]: is empty"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(saved, changes, options, text):
    root = saved(instead=changes)
    with pytest.raises(KdsegError, match=text):
        opened(root, **options)[0]


def test_a_folder_that_is_no_dataset_is_told(tmp_path):
    with pytest.raises(KdsegError, match="there is no such folder"):
        opened(tmp_path / "nowhere")
    with pytest.raises(KdsegError, match="is not what save_to_disk wrote"):
        opened(tmp_path)
    rows(0).save_to_disk(str(tmp_path / "one"))
    with pytest.raises(KdsegError, match="holds one split; save a DatasetDict"):
        opened(tmp_path / "one")


def test_options_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match="would be the same images for every split"):
        HuggingFace(root=".", files="*.parquet")
    with pytest.raises(ValueError, match="no split is called 'validation'"):
        HuggingFace(root=".", split_names={"validation": "val"})


def test_without_the_library_a_recipe_is_told_how_to_install_it(saved, kdseg, monkeypatch):
    root, version = saved(), metadata.version

    def absent(name):
        if name == "datasets":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", absent)
    (root.parent / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    status, _, err = kdseg("check", "recipe.toml")
    assert status == 2
    assert "huggingface needs datasets>=5.2 (not installed): pip install 'datasets>=5.2'" in err
