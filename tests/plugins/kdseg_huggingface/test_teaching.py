"""A network of transformers in whole runs: as a frozen teacher, and as a learner that is loaded again."""

from __future__ import annotations

import json
import os
import shutil
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

import kdseg as kdseg_api
from kdseg import KdsegError

TEACHER = """
seed = 1

[train]
steps = 4
batch_size = 2
workers = 0

[data]
dataset = { use = "camvid", root = "few" }
augment = [{ use = "RandomCrop", height = 96, width = 128 }]

[models.teacher]
frozen = true
backbone = { use = "hf_segmentation", folder = "segformer" }
weights = { file = "segformer/model.safetensors" }
class_map = { sky = "sky", house = "building", street = "road", walk = "pavement", auto = "car" }
classes = ["street", "walk", "house", "auto", "sky"]

[models.student]
backbone = "unet1m"

[terms.labels]
learner = "student"
loss = "cross_entropy"

[terms.logits]
learner = "student"
source = "teacher"
loss = { use = "pixel_kl", temperature = 2.0 }

[terms.features]
learner = "student"
source = "teacher"
loss = { use = "fitnet", between = ["encoder.3 -> encoder.3"] }
"""
LEARNER = """
[train]
steps = 3
batch_size = 2
workers = 0

[data]
dataset = { use = "synthroad", images = 4, size = [64, 96] }
mean = [0.4, 0.4, 0.4]
std = [0.3, 0.3, 0.3]

[models.student]
backbone = { use = "hf_segmentation", folder = "segformer" }
weights = { file = "segformer/model.safetensors", partial = true }

[terms.labels]
learner = "student"
loss = "cross_entropy"
"""
MASKS = """
[train]
steps = 2
batch_size = 2
workers = 0

[data]
dataset = { use = "synthroad", images = 4, size = [64, 96] }

[models.teacher]
frozen = true
backbone = { use = "hf_segmentation", folder = "eomt" }
weights = { file = "eomt/model.safetensors" }

[models.student]
backbone = { use = "unet1m", base = 2 }

[terms.logits]
learner = "student"
source = "teacher"
loss = "pixel_kl"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch, one_thread):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_the_library_a_recipe_is_told_how_to_install_it(folder, kdseg, monkeypatch):
    version = metadata.version

    def absent(name):
        if name == "transformers":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", absent)
    (folder / "recipe.toml").write_text(LEARNER, encoding="utf-8")
    status, _, err = kdseg("check", "recipe.toml")
    assert status == 2
    assert "hf_segmentation needs transformers>=5.24 (not installed): pip install 'transformers>=5.24'" in err


@pytest.mark.skipif("KDSEG_CAMVID" not in os.environ, reason="KDSEG_CAMVID does not say where the images of CamVid are")
def test_a_segformer_teaches_a_unet_on_real_images_by_logits_and_features(folder, kdseg, segformer):
    everything = Path(os.environ["KDSEG_CAMVID"])
    for split, count in (("train", 6), ("val", 2)):
        for file in sorted((everything / split).glob("*.png"))[:count]:
            for part in (split, f"{split}annot"):
                (folder / "few" / part).mkdir(parents=True, exist_ok=True)
                shutil.copy(everything / part / file.name, folder / "few" / part)
    shutil.copytree(segformer, folder / "segformer")
    (folder / "recipe.toml").write_text(TEACHER, encoding="utf-8")
    status, out, err = kdseg("run", "recipe.toml", "--json")
    assert status == 0, out + err
    summary = json.loads(out)
    assert summary["participants"]["student"]["steps"] == 4
    *_, last = kdseg_api.read_metrics("runs/recipe", "step")
    assert all(0 < last[f"loss/{term}"] < 10 for term in ("labels", "logits", "features"))
    student = kdseg_api.load("runs/recipe")
    assert student.predict(np.zeros((60, 70, 3), np.uint8)).shape == (60, 70)


def test_a_class_map_needs_no_list_of_the_classes_that_the_configuration_names(folder, kdseg, segformer):
    shutil.copytree(segformer, folder / "segformer")
    config = folder / "segformer" / "config.json"
    said = json.loads(config.read_text(encoding="utf-8"))
    said["id2label"] = {str(number): name for number, name in enumerate(["street", "walk", "house", "auto", "sky"])}
    said["label2id"] = {name: int(number) for number, name in said["id2label"].items()}
    config.write_text(json.dumps(said), encoding="utf-8")
    (line,) = (line for line in TEACHER.splitlines() if line.startswith("classes = "))
    text = TEACHER.replace(line, "").replace("pavement", "sidewalk")
    text = text.replace('"camvid", root = "few"', '"synthroad", images = 4, size = [96, 128]')
    (folder / "recipe.toml").write_text(text, encoding="utf-8")
    status, out, err = kdseg("run", "recipe.toml", "--set", "train.steps=1")
    assert status == 0, out + err
    assert line in (folder / "runs" / "recipe" / "latest" / "recipe.toml").read_text(encoding="utf-8")
    said["id2label"]["0"] = "sky"
    config.write_text(json.dumps(said), encoding="utf-8")
    status, _, err = kdseg("check", "recipe.toml")
    assert status == 2
    assert "its classes are not known: say `classes`" in err


def test_a_network_of_masks_teaches(folder, kdseg):
    transformers = pytest.importorskip("transformers")
    config = transformers.EomtConfig(
        num_labels=19, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_blocks=1, num_queries=6,
        image_size=64, patch_size=16,
    )  # fmt: skip
    transformers.EomtForUniversalSegmentation(config).save_pretrained(folder / "eomt")
    (folder / "recipe.toml").write_text(MASKS, encoding="utf-8")
    status, out, err = kdseg("run", "recipe.toml")
    assert status == 0, out + err
    *_, last = kdseg_api.read_metrics("runs/recipe", "step")
    assert 0 < last["loss/logits"] < 10


def test_a_learner_starts_from_saved_weights_and_is_loaded_by_its_configuration_alone(folder, kdseg, segformer):
    pytest.importorskip("transformers")
    shutil.copytree(segformer, folder / "segformer")
    (folder / "recipe.toml").write_text(LEARNER, encoding="utf-8")
    status, out, err = kdseg("run", "recipe.toml", "--json")
    assert status == 0, out + err
    (folder / "segformer" / "model.safetensors").unlink()
    student = kdseg_api.load("runs/recipe")
    images = torch.rand(1, 3, 40, 72)
    assert student(images).shape == (1, 19, 40, 72)
    assert torch.equal(kdseg_api.load("runs/recipe")(images), student(images))
    (folder / "segformer" / "config.json").unlink()
    with pytest.raises(KdsegError, match="A trained network needs that file too when it is loaded"):
        kdseg_api.load("runs/recipe")
