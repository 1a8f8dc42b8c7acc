"""Networks of timm and segmentation_models.pytorch in a whole run: one teaches the other by logits and features."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib import metadata

import pytest
import torch

import kdseg as kdseg_api

RECIPE = """
[train]
steps = 2
batch_size = 2
workers = 0

[data]
dataset = { use = "synthroad", images = 4, size = [64, 96] }

[models.teacher]
backbone = { use = "smp", architecture = "fpn", encoder = "resnet18" }

[models.student]
backbone = { use = "timm_unet", encoder = "mobilenetv3_small_050", width = 4 }

[terms.labels]
learner = "teacher"
loss = "cross_entropy"

[terms.logits]
learner = "student"
source = "teacher"
loss = "pixel_kl"

[terms.features]
learner = "student"
source = "teacher"
loss = { use = "fitnet", between = ["encoder.3", "decoder"] }
"""
NEEDED = ("timm", "segmentation_models_pytorch")


@pytest.mark.skipif(any(importlib.util.find_spec(one) is None for one in NEEDED), reason="the extra timm is not here")
def test_one_teaches_the_other_and_both_are_loaded_again(tmp_path, monkeypatch, kdseg, one_thread):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    status, out, err = kdseg("run", "recipe.toml")
    assert status == 0, out + err
    *_, last = kdseg_api.read_metrics("runs/recipe", "step")
    assert all(last[f"loss/{term}"] > 0 for term in ("labels", "logits", "features"))
    for name in ("teacher", "student"):
        assert kdseg_api.load("runs/recipe", name)(torch.rand(1, 3, 40, 72)).shape == (1, 19, 40, 72)


def test_without_the_libraries_a_recipe_is_told_how_to_install_them(tmp_path, monkeypatch, kdseg):
    version = metadata.version

    def absent(name):
        if name in ("timm", "segmentation-models-pytorch"):
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", absent)
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    status, _, err = kdseg("check", str(tmp_path / "recipe.toml"))
    assert status == 2
    assert "pip install 'timm>=1.0.20'" in err
    assert "pip install 'segmentation-models-pytorch>=0.5'" in err


def test_the_plugin_loads_no_library_before_a_network_is_built():
    code = "import sys, kdseg_timm; print([name for name in ('torch', 'timm') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
