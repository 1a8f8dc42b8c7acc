"""The profiler's window: the steps that were asked for, in a trace that any reader takes."""

from __future__ import annotations

import gzip
import json
import re

import pytest

from kdseg.hooks import Hooks

RECIPE = """
[models.student]
backbone = "tiny"
[terms.labels]
learner = "student"
loss = "cross_entropy"
[callbacks.look]
use = "profiler"
"""


def profiled(run, label="look"):
    """Give the numbers of the steps that a run's trace holds."""
    with gzip.open(run.folder / "profile" / f"{label}-0.json.gz", "rt", encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    steps = {}
    for event in events:
        found = re.fullmatch(r"step (\d+)", event.get("name", ""))
        if found and event.get("ph") == "X":
            steps[int(found[1])] = (event["ts"], event["ts"] + event["dur"])
    convolutions = [event["ts"] for event in events if event.get("name") == "aten::convolution"]
    for began, ended in steps.values():
        assert any(began <= place <= ended for place in convolutions)
    return sorted(steps)


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ("first = 2\ncount = 3", [3, 4, 5]),
        ("first = 0\ncount = 1", [1]),
        ("first = 5\ncount = 3", [6, 7, 8]),
        ("", [6, 7, 8]),  # the last of a run of eight
        ("first = 3\ncount = 50", [1, 2, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_the_trace_holds_the_steps_that_were_asked_for(train, options, steps):
    run = train(RECIPE + options)
    assert profiled(run) == steps
    table = (run.folder / "profile" / "look-0.txt").read_text()
    assert "aten::" in table
    assert run.summary["dropped_callbacks"] == {}


def test_a_run_that_stops_within_the_window_writes_what_there_is(train):
    stopping = '[callbacks.stop]\nuse = "early_stopping"\npatience = 1\nmin_rise = 0.9\n'
    settings = ("evaluate.every=2", "checkpoint.every=2")
    run = train(RECIPE + "first = 3\ncount = 5\n" + stopping, *settings)
    assert profiled(run) == [4, 5]  # of the fifth there is but the evaluation before it, which ended the run


def test_several_keep_apart(train):
    run = train(RECIPE + 'first = 1\ncount = 1\n[callbacks.other]\nuse = "profiler"\nfirst = 3\ncount = 1\n')
    assert {path.name for path in (run.folder / "profile").iterdir()} == {
        "look-0.json.gz", "look-0.txt", "other-0.json.gz", "other-0.txt",
    }  # fmt: skip


def test_one_waits_for_the_end_of_another(train):
    run = train(RECIPE + 'first = 1\ncount = 3\n[callbacks.other]\nuse = "profiler"\nfirst = 2\ncount = 3\n')
    assert run.summary["dropped_callbacks"] == {}
    assert profiled(run) == [2, 3, 4]
    assert profiled(run, "other") == [5, 6, 7]


def test_the_next_run_may_profile_though_this_one_died(train):
    with pytest.raises(RuntimeError, match="on purpose"):
        train(RECIPE + "first = 1\ncount = 5", watcher=Die())
    assert profiled(train(RECIPE + "first = 1\ncount = 2", name="next")) == [2, 3]


class Die(Hooks):
    def on_step_end(self, run):
        if run.step == 3:
            raise RuntimeError("on purpose")
