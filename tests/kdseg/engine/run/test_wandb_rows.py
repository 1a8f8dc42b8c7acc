"""Rows of Weights & Biases: each whole, each once, in order; and what is sent once the last is there."""

from __future__ import annotations

import json

import pytest
from attrs import define, field

from kdseg.engine.run import wandb_tracker
from kdseg.engine.run.wandb_tracker import WandbTracker


@define(slots=False)
class Service:
    """Stands for W&B's run."""

    rows: list = field(factory=list)
    artifacts: list = field(factory=list)
    id: str = "x"
    offline: bool = True
    ended: int | None = None
    url: str = "https://host.invalid/me/lab/runs/x"

    def log(self, row, *, step):
        assert not self.rows or step > self.rows[-1][0], "W&B would drop it"
        self.rows.append((step, row))

    def log_artifact(self, artifact, *, aliases):
        self.artifacts.append((artifact.name, aliases))

    def finish(self, *, exit_code):
        self.ended = exit_code


@pytest.fixture
def service():
    return Service()


def step(tracker, number):
    tracker.log("step", number, {"loss": float(number), "turn": "study"})


def test_a_row_is_sent_once_all_of_its_step_is_known(service):
    tracker = WandbTracker(service)
    tracker.log("evaluation", 0, {"val/teacher/miou": 0.5})
    step(tracker, 1)
    assert service.rows == [(0, {"val/teacher/miou": 0.5})]
    tracker.log("evaluation", 1, {"val/student/iou": {"sky": 0.25, "road": None}})
    step(tracker, 2)
    assert service.rows[1:] == [(1, {"loss": 1.0, "val/student/iou/sky": 0.25})]


def test_steps_that_are_read_late_take_their_places(service):
    """On a GPU what a callback records at a step comes before the step's own line."""
    tracker = WandbTracker(service)
    for number in (1, 2, 3):
        tracker.log("callback", number, {"speed": 10.0 * number})
    for number in (1, 2, 3):
        step(tracker, number)
    tracker.settle()
    tracker.finish(complete=False)
    assert service.rows == [(number, {"speed": 10.0 * number, "loss": float(number)}) for number in (1, 2, 3)]


def test_what_a_failed_run_may_tell_again_waits_for_that(service):
    """The evaluation of step 3 may be still to come; W&B takes no second row of a step."""
    tracker = WandbTracker(service)
    for number in (1, 2):
        step(tracker, number)
    tracker.settle()  # a checkpoint
    step(tracker, 3)
    told = tracker.finish(complete=False)
    assert [number for number, _ in service.rows] == [1, 2]
    assert service.ended == 1
    assert told == f"Weights & Biases: {service.url}"


def test_what_comes_after_the_last_checkpoint_of_a_whole_run_is_sent(service):
    tracker = WandbTracker(service)
    step(tracker, 1)
    tracker.settle()
    tracker.log("callback", 1, {"at the end": 1.0})
    tracker.finish(complete=False)
    assert service.rows == [(1, {"loss": 1.0, "at the end": 1.0})]


def test_a_resumed_run_sends_what_was_lost_and_leaves_out_what_is_there(service):
    tracker = WandbTracker(service, there=2)
    lines = [("step", number, {"loss": float(number)}) for number in (1, 2, 3)]
    tracker.go_on(3, lines)
    for number in (4, 5):
        step(tracker, number)
    assert [number for number, _ in service.rows] == [3, 4]
    again = WandbTracker(service, there=4)  # killed at step 5; the checkpoint is still that of step 3
    again.go_on(3, lines)
    for number in (4, 5, 6):
        step(again, number)
    again.settle()
    again.finish(complete=False)
    assert [number for number, _ in service.rows] == [3, 4, 5, 6]


def test_after_a_failure_nothing_piles_up_and_the_end_says_so(service, caplog):
    def fail(*_args, **_kwargs):
        raise ConnectionError("no route to host")

    service.log = fail
    tracker = WandbTracker(service)
    for number in range(100):
        step(tracker, number)
    assert len(tracker._rows) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    told = tracker.finish(complete=False)
    assert told.startswith("Weights & Biases: stopped (ConnectionError: no route to host)")


@pytest.mark.parametrize(
    ("told", "name"),
    [("Straße=0.5+über-2026", "Stra_e_0.5_ber-2026-student"), ("a" * 200, "a" * 120 + "-student")],
)
def test_models_have_names_that_are_taken_there(service, tmp_path, monkeypatch, told, name):
    (tmp_path / "models/student").mkdir(parents=True)
    (tmp_path / "models/student/model.json").write_text("{}")
    monkeypatch.setattr(wandb_tracker, "read_card", lambda _folder: {})
    service.id = told
    tracker = WandbTracker(service, tmp_path)
    assert "stopped" not in str(tracker.finish(complete=True))
    assert service.artifacts == [(name, ["best"])]


def test_of_many_classes_the_largest_cells_are_sent(service, tmp_path):
    (tmp_path / "confusion").mkdir()
    labels = [f"class{number}" for number in range(120)]
    matrix = [[(row + 3 * column) % 9 for column in range(120)] for row in range(120)]
    said = {"classes": labels, "matrix": matrix}
    (tmp_path / "confusion/student.json").write_text(json.dumps(said))
    WandbTracker(service, tmp_path).finish(complete=True)
    (rows,) = [row["confusion/student"].table.data for _, row in service.rows]
    assert len(rows) == 10_000
    counts = sorted((count for row in matrix for count in row), reverse=True)
    assert sorted((row[2] for row in rows), reverse=True) == counts[:10_000]
    assert all(matrix[labels.index(truth)][labels.index(predicted)] == count for truth, predicted, count in rows)
