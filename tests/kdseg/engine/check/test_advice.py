"""What is allowed but seldom meant is told, and nothing else is."""

from __future__ import annotations

import re

import pytest

from kdseg.engine.check.phases import check

STUDENT = """
[models.student]
backbone = "tiny"
"""
LABELS = """
[terms.labels]
learner = "student"
loss = "cross_entropy"
"""
TEACHER = """
[models.teacher]
backbone = "tiny"
[terms.mimic]
learner = "student"
source = "teacher"
loss = "pixel_kl"
[terms.back]
learner = "teacher"
source = "student"
loss = "pixel_kl"
"""
TEACHER_LABELS = """
[terms.teacher-labels]
learner = "teacher"
loss = "cross_entropy"
"""


@pytest.fixture
def told(load):
    def told(text, *settings, world=1):
        return list(check(load(text, *settings), world).warnings)

    return told


def test_a_plain_recipe_is_left_in_peace(told):
    assert told(STUDENT + LABELS) == []
    assert told(STUDENT + LABELS + TEACHER + TEACHER_LABELS) == []


def test_a_learner_without_labels_and_its_untrained_source(told):
    (found,) = told(STUDENT + LABELS + TEACHER)
    assert found == (
        "terms.back: 'teacher' learns from no labels, and its source 'student' starts untrained; a supervised term, or "
        "weights for the source, would give it something to learn"
    )
    assert len(told(STUDENT + TEACHER)) == 2


def test_a_curve_on_a_learners_only_term(told):
    (found,) = told(STUDENT + LABELS + 'weight = { curve = "linear", from = 0.1, to = 1 }\n')
    assert found.startswith("terms.labels.weight: a curve on the only term of 'student' does little")
    assert told(STUDENT + LABELS + "weight = 0.5\n") == []


@pytest.mark.parametrize(("settings", "world", "share"), [(["train.micro_batches=2"], 1, 2), ([], 4, 1)])
def test_what_sees_micro_batches(told, settings, world, share):
    margin = '[terms.margin]\nlearner = "student"\nloss = "margin"\n'
    of_the_loss = f"terms.margin.loss: a mean over a batch, and it sees micro-batches of {share} images"
    assert told(STUDENT + LABELS + margin, *settings, "models.student.backbone.norm=group", world=world) == [
        of_the_loss
    ]
    assert told(STUDENT + LABELS + margin, *settings, "models.student.backbone.norm=batch", world=world) == [
        of_the_loss,
        (
            f"train.micro_batches: batch normalisation sees micro-batches of {share} images, not the step's 4; "
            "group normalisation would see no difference"
        ),
    ]


def test_more_memory_than_there_is(told, monkeypatch):
    """70 million weights, their gradients and AdamW's two moments are 16 bytes each: 1.04 GiB, and layers' outputs."""
    monkeypatch.setattr("kdseg.engine.check.advice.available_memory", lambda: 2**30)
    (found,) = told(STUDENT.replace("tiny", "unet70m") + LABELS)
    assert re.fullmatch(r"train\.batch_size: a step takes about 1\.[01] GiB of memory and 1\.0 GiB are free", found)
