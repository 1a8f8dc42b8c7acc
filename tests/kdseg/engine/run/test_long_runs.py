"""A long run holds no more memory and no more open files than a short one."""

from __future__ import annotations

import ctypes
import gc
import json
import os
from pathlib import Path

import pytest

from kdseg.engine.run.start import run_recipe
from kdseg.hooks import Hooks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create .* worker processes:UserWarning"),  # on one core
]

MARKS = (200, 1100, 2000)
SETTINGS = (
    "train.steps=2000",
    "evaluate.every=100",
    "evaluate.stop_on_collapse=false",  # nobody wants good scores of these
    "checkpoint.every=100",
    "checkpoint.keep=2",
)
MEBIBYTE = 1 << 20


class Gauge(Hooks):
    """Notes what the process holds at some steps."""

    def __init__(self, file):
        self.file, self.held = file, []

    def on_step_end(self, run):
        if run.step in MARKS:
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)  # what is free, but kept for later, is no leak
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
            objects = len(gc.get_objects())
            self.held.append(
                (pages * os.sysconf("SC_PAGE_SIZE"), sum(1 for _ in Path("/proc/self/fd").iterdir()), objects)
            )
            self.file.write_text(json.dumps(self.held), encoding="utf-8")


def test_two_thousand_steps_hold_what_two_hundred_held(load, in_child, stateful, tmp_path):
    # Early stopping would end it; the diary keeps its last lines alone.
    extra = ("callbacks.stop.patience=1000",) if "callbacks" in stateful else ()
    loaded = load("", *SETTINGS, *extra, extends=stateful)
    file = tmp_path / "held.json"
    assert in_child(lambda: run_recipe(loaded, console=lambda: Gauge(file))) == 0
    early, middle, late = json.loads(file.read_text(encoding="utf-8"))
    assert late[0] - early[0] < 4 * MEBIBYTE, "bytes held"
    assert late[1] == middle[1] == early[1], "open files"
    assert late[2] - middle[2] < 500, (
        "Python objects"
    )  # in 900 steps; torch's own cache of shared memory comes and goes
