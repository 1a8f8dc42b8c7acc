"""Checkpoints whose checksums are right, but whose content is not the run's: taken up or refused, and never run."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kdseg.errors import KdsegError

NEWEST = "step-00000006"
FILES = ("state.json", "labels.loss.safetensors", "student.safetensors", "mean.safetensors", "student.training.pt")


@pytest.mark.parametrize("lacking", FILES)
def test_checksums_without_a_file_that_the_run_needs_are_refused(checkpoints, take_up, lacking):
    """The file is there, but nothing says that it is whole."""
    listed = checkpoints / NEWEST / "checksums.json"
    checksums = json.loads(listed.read_text())
    del checksums[lacking]
    listed.write_text(json.dumps(checksums))
    with pytest.raises(KdsegError, match=f"{NEWEST}: this checkpoint does not fit the run: it lacks {lacking}"):
        take_up()


def test_a_learner_more_than_the_run_has_is_refused(put, take_up):
    put("peer.safetensors", b"anything")
    with pytest.raises(KdsegError, match=r"does not fit the run: the run has no peer\.safetensors"):
        take_up()


WRONG = {
    "step": [None, "6", 6.0, True, -6, 10**9, [6], {}],
    "metrics_position": [None, "0", 0.5, -1, True, []],
    "values": [None, [], "x", 1, {"loss/labels": []}, {"loss/labels": {}}],
    "scores": [None, [], "x", {"student": None}, {"student": 0.5}, {"student": ["miou"]}],
    "best": [None, [], {"student": 1}, {"student": {}}, {"student": {"step": "6", "value": 0.5}},
             {"student": {"step": 6, "value": "high"}}],
    "stop_reason": [1, True, [], {}],
    "hooks": [None, [], "x", 1],
}  # fmt: skip


@pytest.mark.parametrize("key", WRONG)
def test_a_state_of_wrong_types_is_refused(checkpoints, put, take_up, key):
    sound = json.loads((checkpoints / NEWEST / "state.json").read_text())
    for value in WRONG[key]:
        put("state.json", json.dumps(sound | {key: value}).encode())
        with pytest.raises(KdsegError, match=r"does not fit the run: state\.json") as caught:
            take_up()
        assert "is of step" in str(caught.value) or repr(key) in str(caught.value)
    del sound[key]
    put("state.json", json.dumps(sound).encode())
    with pytest.raises(KdsegError, match=rf"does not fit the run: state\.json lacks '{key}'"):
        take_up()


@pytest.mark.parametrize("state", [b"", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000, b'{"step": ' + b"1" * 5000])
def test_a_state_that_is_none_is_refused(put, take_up, state):
    put("state.json", state)
    with pytest.raises(KdsegError, match=f"{NEWEST}: this checkpoint does not fit the run: "):
        take_up()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(sorted(WRONG)), value=json_values)
@example(key="scores", value={"student": {}})
def test_any_state_is_taken_up_or_refused(kept, put, take_up, key, value):
    sound = json.loads((kept.folder / "kept" / NEWEST / "state.json").read_text())
    put("state.json", json.dumps(sound | {key: value}).encode())
    try:
        assert take_up() == (6, [])
    except KdsegError as error:
        assert f"{NEWEST}: this checkpoint does not fit the run: state.json" in str(error)  # noqa: PT017 (or none)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(FILES[1:]), data=st.data())
def test_any_weights_and_optimizer_are_taken_up_or_refused(kept, put, take_up, name, data):
    """Their checksums are right, so all that stands between them and the run is what reads them."""
    sound = (kept.folder / "kept" / NEWEST / name).read_bytes()
    start = data.draw(st.integers(0, len(sound)))
    end = data.draw(st.integers(start, min(len(sound), start + 64)))
    put(name, sound[:start] + data.draw(st.binary(max_size=64)) + sound[end:])
    try:
        assert take_up() == (6, [])
    except KdsegError as error:
        assert f"{NEWEST}: this checkpoint does not fit the run: " in str(error)  # noqa: PT017 (or none)


@pytest.mark.parametrize("training", [None, [], {}, 1, {"optimizer": 1}, {"optimizer": {}, "schedule": []}])
def test_an_optimizer_of_wrong_types_is_refused(checkpoints, put, take_up, training):
    torch.save(training, checkpoints / "made.pt")
    put("student.training.pt", (checkpoints / "made.pt").read_bytes())
    with pytest.raises(KdsegError, match=f"{NEWEST}: this checkpoint does not fit the run: "):
        take_up()
