"""Which devices the tests see: the CPU alone, but for `pytest -m gpu`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DEEP = "tests/kdseg/engine/folders/test_files.py"
"""In a folder whose conftest.py loads torch before pytest is configured."""
FAKE = """
import os

def count():
    return 0 if os.environ.get("CUDA_VISIBLE_DEVICES") == "" else 1

def pytest_collection():
    import torch

    torch.cuda.device_count = count
    torch.cuda.is_available = lambda: count() > 0

def pytest_sessionfinish():
    import torch
    from accelerate.state import PartialState
    from kdseg.engine.machine.processes import Processes
    from kdseg.recipe.schema_train import Train

    seen = torch.cuda.is_available()  # nothing can be started on a device that is not there
    device = PartialState().default_device if seen else Processes.start(Train(steps=1)).device
    print(f"\\nsees {count()} GPUs, runs on: {device.type}")
"""
"""A plugin of pytest that answers as the driver of one GPU does."""


@pytest.fixture
def beside_a_gpu(tmp_path):
    """Run some tests where there is a GPU, and give how that ended and what was printed."""
    (tmp_path / "fake_gpu.py").write_text(FAKE, encoding="utf-8")

    def run(*words):
        environment = {name: value for name, value in os.environ.items() if "VISIBLE_DEVICES" not in name}
        environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "pytest", "-p", "fake_gpu", "-p", "no:cacheprovider", *words]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    return run


def test_no_test_sees_a_gpu_unasked(beside_a_gpu):
    status, out = beside_a_gpu(DEEP)
    assert status == 0, out
    assert "sees 0 GPUs, runs on: cpu" in out


@pytest.mark.parametrize("marks", ["slow", ""])
def test_nor_with_other_marks(beside_a_gpu, marks):
    status, out = beside_a_gpu("--collect-only", "-m", marks, DEEP)
    assert status == (5 if marks else 0), out  # 5: nothing was collected
    assert "sees 0 GPUs, runs on: cpu" in out


@pytest.mark.parametrize("marks", ["gpu", "gpu and not slow"])
def test_those_that_ask_see_it(beside_a_gpu, marks):
    status, out = beside_a_gpu("-m", marks, DEEP)
    assert status == 5, out
    assert "sees 1 GPUs, runs on: cuda" in out


def test_without_one_they_are_skipped_with_the_reason(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", "tests/gpu/test_scores.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "no CUDA device" in done.stdout
    assert "passed" not in done.stdout
