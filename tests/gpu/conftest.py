"""What must hold on a GPU. Tests marked `gpu` are skipped where there is none.

`KDSEG_GPU_TESTS_DEVICE=cpu` runs them on the CPU against the CPU: a trial of the tests themselves.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from accelerate.state import PartialState
from engine_runs import (  # noqa: F401 (pytest finds them here)
    assert_same_fixture,
    contents_fixture,
    folder_fixture,
    lines_fixture,
    load_fixture,
    train_fixture,
    weights_fixture,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

DEVICE = os.environ.get("KDSEG_GPU_TESTS_DEVICE", "cuda")
WORKER = Path(__file__).parent / "worker.py"
COMPILED = {"test_fused_triton.py"}
CPU = {"ACCELERATE_USE_CPU": "1", "CUDA_VISIBLE_DEVICES": ""}
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"

Finished = subprocess.CompletedProcess[str]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip before any fixture works for nothing."""
    if item.get_closest_marker("gpu") is None:
        return
    if DEVICE == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "1"
        if item.path.name in COMPILED:
            pytest.skip("it compiles kernels for a GPU: there is nothing to try without one")
    elif not torch.cuda.is_available():
        pytest.skip("no CUDA device here, or it is hidden: only `pytest -m gpu` leaves it visible")
    else:
        os.environ[WORKSPACE] = ":4096:8"  # read once, and tests before a deterministic one may have read it


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Give the device under test."""
    return torch.device(DEVICE, 0) if DEVICE == "cuda" else torch.device(DEVICE)


@pytest.fixture(autouse=True)
def as_it_was_before(one_thread: None) -> Iterator[None]:
    """Calculate without TF32, and undo what runs set for the whole process."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.use_deterministic_algorithms(mode=False)
    torch.backends.cudnn.benchmark = torch.backends.cudnn.deterministic = False


@pytest.fixture(scope="session")
def start() -> Callable[..., subprocess.Popen[str]]:
    """Start `worker.py` in a new process, on the device under test or on the CPU."""

    def start(
        folder: Path, words: Sequence[str], settings: Sequence[str] = (), *, on_cpu: bool = False, **variables: str
    ) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if name != WORKSPACE}
        environment |= {**(CPU if on_cpu else {}), **variables}
        command = [sys.executable, str(WORKER), *words, *(word for one in settings for word in ("--set", one))]
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    return start


@pytest.fixture(scope="session")
def finish() -> Callable[..., str]:
    """Wait for a process, hold its status against what it should be, and give what it printed."""

    def finish(process: subprocess.Popen[str], status: int = 0) -> str:
        out, _ = process.communicate(timeout=240)
        assert process.returncode == status, out[-4000:]
        return out

    return finish


@pytest.fixture
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let Accelerate choose the CPU, in this process, for as long as the test lasts."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    PartialState._reset_state()
    yield
    PartialState._reset_state()
