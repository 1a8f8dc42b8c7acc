"""The metrics file: a line a fact, readable by anything that reads JSON."""

from __future__ import annotations

import json
import math
import os

from hypothesis import given
from hypothesis import strategies as st

from kdseg.engine.folders.files import json_text
from kdseg.engine.run.recorder import Recorder
from kdseg.engine.run.wandb_tracker import WandbTracker


def strict(text):
    """Read JSON as other languages do: NaN and Infinity are no JSON."""

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def without_holes(value):
    if isinstance(value, dict):
        return {key: without_holes(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_holes(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_any_value_is_json_with_null_for_what_is_no_number(value):
    assert strict(json_text(value)) == without_holes(value)
    assert "\n" not in json_text(value)


def test_each_write_is_a_line_on_the_disk_at_once(tmp_path):
    recorder = Recorder(tmp_path / "metrics.jsonl")
    assert recorder.position() == 0
    recorder.write("step", 1, {"loss/labels": 0.5, "turn": "teach"})
    recorder.write("evaluation", 1, {"val/student/iou": {"Straße": math.nan, "sky": 1.0}})
    found = [strict(line) for line in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    recorder.close()
    assert found == [
        {"kind": "step", "step": 1, "loss/labels": 0.5, "turn": "teach"},
        {"kind": "evaluation", "step": 1, "val/student/iou": {"Straße": None, "sky": 1.0}},
    ]


def test_rewinding_drops_what_came_after_a_position(tmp_path):
    path = tmp_path / "metrics.jsonl"
    first = Recorder(path)
    first.write("step", 1, {"loss": 1.0})
    position = first.position()
    first.write("step", 2, {"loss": 2.0})
    first.close()
    with path.open("a") as file:
        file.write('{"kind": "st')  # a killed process may leave half a line
    second = Recorder(path)
    second.rewind(position)
    second.write("step", 2, {"loss": 3.0})
    second.close()
    assert [strict(line) for line in path.read_text().splitlines()] == [
        {"kind": "step", "step": 1, "loss": 1.0},
        {"kind": "step", "step": 2, "loss": 3.0},
    ]


def test_a_position_is_one_on_the_disk(tmp_path, monkeypatch):
    """A checkpoint survives a power cut; so must the lines that it counts."""
    brought = []
    monkeypatch.setattr(os, "fsync", lambda handle: brought.append(os.fstat(handle).st_ino))
    recorder = Recorder(tmp_path / "metrics.jsonl")
    recorder.write("step", 1, {"loss": 1.0})
    position = recorder.position()
    recorder.close()
    assert brought == [(tmp_path / "metrics.jsonl").stat().st_ino]
    assert position == (tmp_path / "metrics.jsonl").stat().st_size


def test_without_a_file_it_does_nothing(tmp_path):
    recorder = Recorder(None)
    recorder.write("step", 1, {"loss": 1.0})
    recorder.rewind(10)
    recorder.close()
    assert recorder.position() == 0


class Broken:
    """A tracker's insides that fail."""

    def __init__(self):
        self.calls = 0

    def log(self, *_args, **_kwargs):
        self.calls += 1
        raise ConnectionError("no route to host")

    finish = log


def test_a_tracker_that_fails_is_told_once_and_ends_nothing(tmp_path, caplog):
    broken = Broken()
    recorder = Recorder(tmp_path / "metrics.jsonl", (WandbTracker(broken),))
    for step in range(3):
        recorder.write("step", step, {"loss": 1.0})
    recorder.close()
    assert broken.calls == 1
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3
    (told,) = caplog.messages
    assert "Weights & Biases stopped (ConnectionError: no route to host)" in told
