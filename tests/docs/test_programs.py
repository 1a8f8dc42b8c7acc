"""The page on teachers that are files: its script writes them, and its commands run with each."""

from __future__ import annotations

import shlex
import warnings

import pytest

SMALL = (
    'data.dataset={ use = "synthroad", images = 4, size = [64, 96] }',
    "data.augment=[]",
    "models.teacher.floor=0.0",
    "models.student.backbone={ use = 'unet1m', base = 2 }",
    "train.steps=2",
    "train.batch_size=2",
    "train.workers=0",
)


def test_what_the_page_writes_teaches_as_the_page_says(pages, tmp_path, monkeypatch, kdseg, one_thread):
    for library in ("onnxruntime", "onnx", "onnxscript"):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    page = pages["docs/programs.md"]
    written = {path.name: path for path in page.write_files(tmp_path)}
    script = written.pop("write.py")
    del written["libraries.toml"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about itself
        exec(compile(script.read_text(encoding="utf-8"), script.name, "exec"), {})
    commands = [
        line for block in page.blocks if block.language == "sh" for line in block.text.splitlines() if "pip" not in line
    ]
    assert [shlex.split(line)[1] for line in commands] == ["check", "run"]
    for recipe in written:
        for line in commands:
            words = [*shlex.split(line)[1:-1], recipe, *(word for one in SMALL for word in ("--set", one))]
            status, out, err = kdseg(*words)
            assert status == 0, out + err


def test_networks_of_libraries_train_as_the_page_says(pages, tmp_path, monkeypatch, kdseg, one_thread):
    for library in ("timm", "segmentation_models_pytorch"):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    pages["docs/programs.md"].write_files(tmp_path)
    settings = [*(one for one in SMALL if not one.startswith("models.")), 'models.teacher.backbone.encoder="resnet18"']
    status, out, err = kdseg("run", "libraries.toml", *(word for one in settings for word in ("--set", one)))
    assert status == 0, out + err
