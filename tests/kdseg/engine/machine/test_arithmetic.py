"""torch's switches for GPUs are set as asked, and those of a CPU left alone."""

from __future__ import annotations

import os

import pytest
import torch

from kdseg.engine.machine.arithmetic import set_arithmetic
from kdseg.recipe.schema_train import Train


def switches():
    return {
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "tf32": (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32),
    }


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """Put torch's own settings back."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = switches()
    yield
    torch.use_deterministic_algorithms(before["deterministic"])
    torch.backends.cudnn.benchmark = before["cudnn_benchmark"]
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before["tf32"]


@pytest.mark.parametrize("tf32", [True, False])
def test_tf32_is_a_gpu_s_only_where_it_is_asked_for(tf32):
    set_arithmetic(torch.device("cuda"), tf32=tf32)
    assert switches() == {"deterministic": False, "cudnn_benchmark": False, "tf32": (tf32, tf32)}


def test_deterministic_kernels_are_not_chosen_by_trial():
    set_arithmetic(torch.device("cuda"), deterministic=True, cudnn_benchmark=True)
    assert switches() == {"deterministic": True, "cudnn_benchmark": False, "tf32": (False, False)}
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"  # what cuBLAS asks for
    set_arithmetic(torch.device("cuda"), cudnn_benchmark=True)  # of the next run in this process
    assert switches() == {"deterministic": False, "cudnn_benchmark": True, "tf32": (False, False)}


def test_a_cpu_is_left_as_it_is():
    before = switches()
    set_arithmetic(torch.device("cpu"), tf32=not before["tf32"][0], deterministic=True, cudnn_benchmark=True)
    assert switches() == before
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ


def test_a_recipe_asks_for_full_precision_unless_it_says_otherwise():
    train = Train(steps=1)
    assert (train.tf32, train.deterministic, train.cudnn_benchmark) == (False, False, True)
