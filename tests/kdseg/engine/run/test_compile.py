"""A step that compiles networks says so, and how long it took."""

from __future__ import annotations

import re

import pytest
from torch import nn

RECIPE = """
[models.teacher]
backbone = "tiny"
[models.student]
backbone = "tiny"
[turns]
order = ["teach", "study"]
[terms.teacher-labels]
turn = "teach"
learner = "teacher"
loss = "cross_entropy"
[terms.mimic]
turn = "study"
learner = "student"
source = "teacher"
loss = "pixel_kl"
[terms.labels]
turn = "study"
learner = "student"
loss = "cross_entropy"
"""


@pytest.fixture
def told(monkeypatch, caplog, train):
    """Run the recipe with a compiler that does nothing, and give what was said of it, less the seconds."""
    monkeypatch.setattr(nn.Module, "compile", lambda _module: None)

    def told(*settings):
        with caplog.at_level("INFO", "kdseg"):
            train(RECIPE, "train.steps=6", *settings)
        lines = [line for line in caplog.messages if line.startswith("train.compile")]
        return [re.sub(r"\d+\.\d s$", "… s", line) for line in lines]

    return told


def test_each_network_is_told_of_once_in_each_of_its_ways(told):
    assert told("train.compile=true") == [
        "train.compile: step 1 compiles teacher first",
        "train.compile: step 1 took … s",
        "train.compile: step 2 compiles student and teacher as a source first",
        "train.compile: step 2 took … s",
    ]


def test_without_it_nothing_is_said(told):
    assert told() == []
