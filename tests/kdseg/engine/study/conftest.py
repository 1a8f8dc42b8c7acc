from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kdseg.engine.study.sweep_file import SweepFile, read_sweep

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALONE = """
extends = "base.toml"
[models.student]
backbone = "tiny"
[terms.labels]
learner = "student"
loss = "cross_entropy"
"""
TEACHER = """
extends = "base.toml"
[models.teacher]
backbone = { use = "tiny", width = 6 }
[terms.labels]
learner = "teacher"
loss = "cross_entropy"
"""
OFFLINE = """
extends = "alone.toml"
[models.teacher]
frozen = true
backbone = { use = "tiny", width = 6 }
weights = { recipe = "teacher.toml" }
[terms.mimic]
learner = "student"
source = "teacher"
loss = "pixel_kl"
"""
TOGETHER = """
extends = "alone.toml"
[models.teacher]
backbone = { use = "tiny", width = 6 }
[terms.teacher-labels]
learner = "teacher"
loss = "cross_entropy"
[terms.mimic]
learner = "student"
source = "teacher"
loss = "pixel_kl"
"""
SWEEP = """
[sweep]
name = "study"
seeds = [3, 5]
set = { train.steps = 4 }
[sweep.arms.alone]
recipe = "alone.toml"
[sweep.arms.offline]
recipe = "offline.toml"
"""


@pytest.fixture
def study(folder: Path) -> Path:
    """A working folder with the recipes that sweeps here compare."""
    for name, text in (("alone", ALONE), ("teacher", TEACHER), ("offline", OFFLINE), ("together", TOGETHER)):
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def sweep(study: Path) -> Callable[..., SweepFile]:
    """Write ``sweep.toml``, the sound one with some of its text replaced and some added, and read it."""

    def sweep(*changes: tuple[str, str], more: str = "") -> SweepFile:
        text = SWEEP + more
        for good, bad in changes:
            assert text.count(good) == 1, good
            text = text.replace(good, bad)
        (study / "sweep.toml").write_text(text, encoding="utf-8")
        return read_sweep(study / "sweep.toml")

    return sweep
