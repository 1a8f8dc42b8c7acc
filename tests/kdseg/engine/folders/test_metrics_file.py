"""A run's numbers, read back while it is under way and after."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from kdseg import KdsegError, read_metrics
from kdseg.testing import heavy_imports

RECIPE = """
[models.student]
backbone = "tiny"
[terms.labels]
learner = "student"
loss = "cross_entropy"
[evaluate]
every = 3
unit = "step"
"""


@pytest.fixture
def run(train):
    return train(RECIPE).folder


def test_what_was_written_is_read(run):
    lines = list(read_metrics(run))
    assert lines == [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(before["step"] <= after["step"] for before, after in pairwise(lines))


@pytest.mark.parametrize(("kind", "steps"), [("step", [*range(1, 9)]), ("evaluation", [3, 6, 8]), ("callback", [])])
def test_one_kind_is_read_alone(run, kind, steps):
    found = list(read_metrics(run.parent, kind))
    assert [line["step"] for line in found] == steps
    assert {line["kind"] for line in found} <= {kind}


def test_a_line_that_is_still_being_written_waits(run):
    whole = list(read_metrics(run))
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"kind": "step", "step": 9, "loss/lab')
    assert list(read_metrics(run)) == whole


def test_a_run_that_has_written_nothing_yet_has_no_lines(run):
    (run / "metrics.jsonl").unlink()
    assert list(read_metrics(run)) == []


def test_damage_is_told_with_its_place(run):
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join([*lines[:4], '{"kind": "step", 7}\n', *lines[4:]]), encoding="utf-8")
    with pytest.raises(KdsegError, match=r"metrics\.jsonl:5: this line is damaged"):
        list(read_metrics(run))


def test_reading_needs_no_torch():
    assert not heavy_imports("from kdseg import read_metrics")
