"""What holds for every test: nothing reaches the network, the machine is shared, and no GPU is seen unasked."""

from __future__ import annotations

import gc
import logging
import os
import re
import sys
import tempfile
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CACHE = tempfile.mkdtemp(prefix="kdseg-tests-")  # nothing of the user's own is read or written
os.environ |= {
    "NO_ALBUMENTATIONS_UPDATE": "1",  # it asks a server for its newest version otherwise
    "WANDB_MODE": "offline",
    "KDSEG_CACHE": CACHE,
    "HF_HOME": f"{CACHE}/hf",
    "HF_HUB_OFFLINE": "1",
    "OPENCV_IO_MAX_IMAGE_PIXELS": str(2**27),  # as kdseg sets it, which some tests import after cv2
    "OMP_NUM_THREADS": "1",  # read by torch when a test loads it: on tiny networks, threads that wait cost more
}
os.environ.pop("KDSEG_DISABLE_PLUGINS", None)

HIDING = {
    "CUDA_VISIBLE_DEVICES": "",
    "HIP_VISIBLE_DEVICES": "",
    "TRITON_INTERPRET": "1",  # read when a kernel is defined: the processor interprets it
}
"""What hides a GPU from torch, and so from Accelerate."""
if sys.platform == "darwin":
    HIDING["ACCELERATE_USE_CPU"] = "1"  # nothing hides Apple's GPU from torch, but Accelerate alone would turn to it

settings.register_profile("kdseg", deadline=None)  # a busy machine is no failure
settings.load_profile("kdseg")


def for_gpu(marks: str) -> bool:
    """Tell whether the tests of such marks are those of the GPU."""
    return re.fullmatch(r"gpu( and .*)?", marks.strip()) is not None


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Decide which devices the tests see: the GPU with ``-m gpu``, otherwise the CPU alone.

    No later hook would do: the conftest files of folders load torch, which looks for devices once.
    """
    assert "torch" not in sys.modules, "torch was loaded before the tests' devices were decided"
    config = pluginmanager.get_plugin("pytestconfig")
    assert isinstance(config, pytest.Config)
    if not for_gpu(config.known_args_namespace.markexpr):
        os.environ |= HIDING


@pytest.hookimpl(tryfirst=True)  # before xdist reads it
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Share the whole suite out to two processes. For a part of it, to start them takes longer than they save."""
    option = config.option
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not option.keyword
    alone = for_gpu(option.markexpr) or option.usepdb or hasattr(config, "workerinput")  # it is one of the two
    if whole and not alone and config.pluginmanager.hasplugin("xdist") and option.numprocesses is None:
        option.numprocesses, option.dist = 2, "worksteal"


def pytest_collection_finish() -> None:
    """Spare what is loaded by now every search for garbage: a third of a second each, and a measurement makes many."""
    gc.collect()
    gc.freeze()


class Outcome(NamedTuple):
    """What the command line left behind."""

    status: int
    out: str
    err: str


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Networks as small as those of tests gain nothing from threads, and a child by fork could not use them."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def kdseg(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Outcome]]:
    """Run the command line in this process: ``kdseg("show", "loss", "pixel_kl")``."""
    from kdseg.cli import main

    def run(*args: str) -> Outcome:
        with pytest.raises(SystemExit) as end:
            main([*args])
        return Outcome(end.value.code or 0, *capsys.readouterr())

    logger = logging.getLogger("kdseg")  # which a verb takes over
    level, propagate, handlers = logger.level, logger.propagate, logger.handlers
    yield run
    logger.setLevel(level)
    logger.propagate, logger.handlers = propagate, handlers
