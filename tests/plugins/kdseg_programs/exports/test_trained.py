"""Exports of a trained student: what they keep of it, what they carry, and the verbs that take them."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import torch

import kdseg as package
from kdseg.engine.models.whole_image import WholeImage
from kdseg.engine.splits.open import open_split
from kdseg.recipe.load import load_recipe

KEEPS = {"fp32": 0.9999, "bf16": 0.99, "int8": 0.0}
EXPORTS = [
    ("onnx", "fp32", ".onnx"),
    ("onnx", "int8", ".onnx"),
    ("openvino", "fp32", ".xml"),
    ("openvino", "bf16", ".xml"),
    ("openvino", "int8", ".xml"),
    ("pt2", "fp32", ".pt2"),
    ("pt2", "bf16", ".pt2"),
]


def carried(file):
    """The card, read by each format's own library alone."""
    if file.suffix == ".onnx":
        import onnx

        return json.loads({one.key: one.value for one in onnx.load(file).metadata_props}["kdseg"])
    if file.suffix == ".xml":
        import openvino

        return json.loads(openvino.Core().read_model(file).get_rt_info(["kdseg"]).astype(str))
    with zipfile.ZipFile(file) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("extra/kdseg.json")]
        return json.loads(archive.read(name))


def scene(run):
    """A picture of the evaluation split, cut to an odd size."""
    return open_split(load_recipe(run / "recipe.toml").recipe, "val")[0].image[:39, :71]


@pytest.mark.parametrize(("to", "precision", "suffix"), EXPORTS, ids=lambda value: value)
def test_a_trained_student_keeps_its_classes_or_its_export_fails(request, export, run, kdseg, to, precision, suffix):
    request.getfixturevalue("openvino" if to == "openvino" else "libraries")
    status, out, err = export("--to", to, "--precision", precision, "--calibrate", "16", "--json")
    if status and precision != "fp32":
        assert "the export failed its check" in err
        return
    assert status == 0, err
    found = json.loads(out)
    assert found["equal_pixels"] >= KEEPS[precision]
    assert found["drop"] <= 1.0
    file = run / "exports" / f"student-{precision}{suffix}"
    assert json.loads(file.with_name(f"{file.name}.json").read_text(encoding="utf-8")) == found
    card = carried(file)
    model = package.load(run)
    assert card["classes"] == list(model.classes)
    assert card["colours"] == [list(colour) for colour in model.palette]
    assert (card["precision"], card["size"], card["run"]) == (precision, None, f"drive/{run.name}")
    assert card["mean"] == pytest.approx(model.mean.flatten().tolist())
    assert card["std"] == pytest.approx(model.std.flatten().tolist())
    assert len(card["recipe_digest"]) == 64
    assert card["kdseg_version"]
    scores = kdseg("evaluate", str(file), "--json", "--trust-code")
    assert scores.status == 0, scores.err
    assert json.loads(scores.out)[file.name]["miou"] == pytest.approx(found["miou_after"])
    loaded = package.load(file, trust_code=True)
    image = scene(run)
    assert (loaded.predict(image) == model.predict(image)).mean() > 0.9
    assert torch.equal(
        loaded.predict(torch.from_numpy(image).permute(2, 0, 1)), torch.from_numpy(loaded.predict(image))
    )


def test_logits_are_within_rounding_and_take_views(export, run, libraries):
    status, out, err = export("--to", "onnx", "--logits", "--json", "--images", "2")
    assert status == 0, err
    assert 0 < json.loads(out)["max_error"] < 1e-3
    file, model = package.load(run / "exports" / "student-fp32-logits.onnx"), package.load(run)
    images = torch.rand(2, 3, 45, 70)
    with torch.no_grad():
        assert torch.allclose(file(images), model(images), atol=1e-3)
    views = WholeImage(window=(32, 48), scales=(1.0, 1.25), flip=True)
    assert (file.predict(images, views) == model.predict(images, views)).float().mean() > 0.999


def test_a_file_of_one_size_answers_at_the_size_of_any_image(export, run, libraries):
    status, _, err = export("--to", "onnx", "--size", "40x72", "--images", "2")
    assert status == 0, err
    written = run / "exports" / "student-fp32-40x72.onnx"
    file = package.load(written.rename(written.with_suffix(".ONNX")))
    image = np.random.default_rng(0).integers(0, 256, (3, 81, 100, 3), dtype=np.uint8)
    assert file.predict(image).shape == (3, 81, 100)


def test_a_network_sees_images_at_another_size_where_the_file_resizes(export, run, libraries):
    status, _, err = export("--to", "onnx", "--resize", "32x64", "--images", "2", "--min-equal", "0.999")
    assert status == 0, err
    assert carried(run / "exports" / "student-fp32-resize32x64.onnx")["resize"] == [32, 64]
