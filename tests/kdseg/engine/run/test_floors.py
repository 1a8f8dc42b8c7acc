"""What a frozen teacher is worth is told before the first step, and a floor ends a run that could not have helped."""

from __future__ import annotations

import pytest

from kdseg.engine.run.start import run_recipe
from kdseg.errors import KdsegError

TEACHER = """
[models.teacher]
backbone = "tiny"
optimizer = { use = "AdamW", lr = 0.1 }
[terms.labels]
learner = "teacher"
loss = "cross_entropy"
"""
STUDENT = """
[models.teacher]
frozen = true
backbone = "tiny"
weights = {{ recipe = "teacher.toml" }}
{floor}
[models.student]
backbone = "tiny"
[terms.mimic]
learner = "student"
source = "teacher"
loss = "pixel_kl"
"""


@pytest.fixture
def taught(load):
    """Load a recipe whose teacher is trained by another first."""

    def taught(*settings, floor=""):
        load(TEACHER, name="teacher")
        return load(STUDENT.format(floor=floor), "train.steps=4", *settings)

    return taught


def test_its_score_is_told_before_the_first_step(taught, lines, caplog):
    with caplog.at_level("INFO", "kdseg"):
        run = run_recipe(taught())
    first, *_ = lines(run)
    assert (first["kind"], first["step"]) == ("evaluation", 0)
    assert [name for name in first if name.startswith("val/student")] == []
    told = f"models.teacher: frozen, miou {first['val/teacher/miou']:.4f} on the validation split"
    assert told in caplog.messages
    (last,) = lines(run, "evaluation")[1:]
    assert "val/teacher/miou" not in last  # it is what it was
    assert run.summary["participants"]["teacher"]["miou"] == first["val/teacher/miou"]


def test_below_its_floor_nothing_is_trained(taught, folder, lines):
    with pytest.raises(
        KdsegError, match=r"models.teacher: miou is 0\.\d{4} on the validation split, below its floor of 1,"
    ):
        run_recipe(taught(floor="floor = 1.0"))
    run = (folder / "runs" / "recipe" / "latest").resolve()
    assert [line["kind"] for line in lines(run)] == ["evaluation"]


def test_at_its_floor_it_teaches(taught):
    assert run_recipe(taught(floor="floor = 0.0")).summary["steps"] == 4
