"""The page on exports: its commands run one after another, its scripts read what they wrote."""

from __future__ import annotations

import shlex
import subprocess
import sys

import cv2
import numpy as np
import pytest
from exported_student import STUDENT

from kdseg.engine.run.start import run_recipe
from kdseg.recipe.load import load_recipe

RECIPE = 'plugins = ["my_exports.py"]' + STUDENT
SHORT = {"export": ["--max-drop", "100"], "profile": ["--rounds", "5", "--threads", "1", "--size", "64x96"]}


def commands(page):
    lines = [line for block in page.blocks if block.language == "sh" for line in block.text.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("kdseg ")]


@pytest.mark.filterwarnings("ignore")  # of torch, about TorchScript
def test_the_commands_and_scripts_of_the_page_work(pages, tmp_path, monkeypatch, kdseg, one_thread):
    for library in ("onnxruntime", "onnx", "onnxscript", "openvino", "nncf"):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    page = pages["docs/deploy.md"]
    page.write_files(tmp_path)
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    run_recipe(load_recipe(tmp_path / "recipe.toml", ['output.folder="runs"']))
    (tmp_path / "RUN").symlink_to(next((tmp_path / "runs" / "recipe").glob("2*")))
    cv2.imwrite("street.png", np.zeros((64, 96, 3), np.uint8))
    words = commands(page)
    assert [one[0] for one in words] == ["export", "export", "evaluate", "predict", "profile"]
    for one in [*words, ["export", "RUN", "--to", "torchscript"]]:
        status, out, err = kdseg(*one, *SHORT.get(one[0], []))
        assert status == 0, out + err
    exports = tmp_path / "RUN" / "exports"
    for file in ("student-fp32.onnx", "student-int8.xml", "student-fp32.ts"):
        done = subprocess.run([sys.executable, "card.py", exports / file], capture_output=True, text=True, check=False)
        assert "'road'" in done.stdout, done.stderr
    done = subprocess.run(
        [sys.executable, "segment.py", exports / "student-fp32.onnx"], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip(), done.stderr
