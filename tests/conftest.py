"""What holds for every test: nothing reaches the network, and the machine is shared."""

from __future__ import annotations

import logging
import os
import tempfile
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

os.environ |= {
    "NO_ALBUMENTATIONS_UPDATE": "1",  # it asks a server for its newest version otherwise
    "WANDB_MODE": "offline",
    "KDSEG_CACHE": tempfile.mkdtemp(prefix="kdseg-tests-"),  # nothing of the user's own is read or written
    "OMP_NUM_THREADS": "1",  # read by torch when a test loads it: on tiny networks, threads that wait cost more
}
os.environ.pop("KDSEG_DISABLE_PLUGINS", None)

settings.register_profile("kdseg", deadline=None)  # a busy machine is no failure
settings.load_profile("kdseg")


def pytest_configure(config: pytest.Config) -> None:
    """Let Triton interpret its kernels on the processor, before one is defined; `pytest -m gpu` compiles them."""
    if config.getoption("markexpr") != "gpu":
        os.environ["TRITON_INTERPRET"] = "1"


class Outcome(NamedTuple):
    """What the command line left behind."""

    status: int
    out: str
    err: str


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
