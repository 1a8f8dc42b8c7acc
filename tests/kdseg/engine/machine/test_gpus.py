"""A GPU is looked at from outside: what asks about one, `check` first of all, opens none."""

from __future__ import annotations

import pytest
import torch

from kdseg.engine.check.phases import check
from kdseg.engine.machine.gpus import available_memory, gpu_is_here

GIBIBYTE = 2**30


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """Let torch see a GPU that must not be opened, and give a way to say what the driver's own program tells of it."""

    def opened(*_args, **_kwargs):
        raise AssertionError("CUDA was opened")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("_lazy_init", "init", "mem_get_info", "current_device", "set_device", "get_device_properties"):
        monkeypatch.setattr(torch.cuda, name, opened)
    monkeypatch.setattr(torch.Tensor, "pin_memory", opened)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    folder = tmp_path / "driver"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def told(script):
        program = folder / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        program.chmod(0o755)

    told("exit 9")
    return told


def test_what_is_free_is_the_first_visible_gpu_s(gpu):
    gpu('[ "$1" = --id=3 ] && echo 2048')
    assert gpu_is_here()
    assert available_memory() == 2 * GIBIBYTE


@pytest.mark.parametrize("script", ["exit 9", "echo '[N/A]'", "echo"])
def test_where_nobody_tells_nothing_is_said(gpu, script):
    gpu(script)
    assert available_memory() is None


def test_a_check_opens_no_gpu(gpu, load):
    gpu("echo 0")
    recipe = """
[models.student]
backbone = "tiny"
optimizer = { use = "AdamW", capturable = true }
[train]
precision = "fp16"
[terms.labels]
learner = "student"
loss = "cross_entropy"
"""
    (told,) = [line for line in check(load(recipe)).warnings if "memory" in line]
    assert told.endswith("and 0.0 GiB are free")


def test_a_check_without_anybody_to_tell_the_memory_warns_of_nothing(gpu, load):
    recipe = """
[models.student]
backbone = "tiny"
[terms.labels]
learner = "student"
loss = "cross_entropy"
"""
    assert not check(load(recipe)).warnings
