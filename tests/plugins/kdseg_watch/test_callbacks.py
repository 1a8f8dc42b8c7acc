"""The callbacks, driven by a run that only pretends."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pretended_run import SCORES, TAPS, FakeRun, built, names_of_best, resumed

import kdseg_watch
from kdseg.components import CallbackContext
from kdseg.errors import KdsegError
from kdseg_watch.components import Checkpoint, EarlyStopping, GradientNorms, Hardware, Profiler
from kdseg_watch.picture_components import Gallery, LayerImages

if TYPE_CHECKING:
    from kdseg.components import Callback


def test_the_hook_hands_over_the_callbacks() -> None:
    assert set(kdseg_watch.kdseg_callbacks()) == {
        Checkpoint, EarlyStopping, Gallery, GradientNorms, Hardware, LayerImages, Profiler,
    }  # fmt: skip


@given(scores=SCORES, keep=st.integers(1, 4))
def test_checkpoint_keeps_the_best_whatever_the_order(scores: list[float], keep: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run, hooks = FakeRun(Path(folder)), built(Checkpoint(keep=keep))
        hooks.on_run_start(run)
        for number, score in enumerate(scores):
            run.evaluated(hooks, number, score)
            assert run.kept() == names_of_best(scores[: number + 1], keep)


@given(scores=SCORES, keep=st.integers(1, 4), data=st.data())
def test_a_killed_run_keeps_what_an_unbroken_one_keeps(scores: list[float], keep: int, data: st.DataObject) -> None:
    """It is killed at some evaluation and goes on from a checkpoint at or before it, up to three times."""
    callback = Checkpoint(keep=keep)
    with tempfile.TemporaryDirectory() as folder:
        run = FakeRun(Path(folder))
        hooks, saved = built(callback), 0
        hooks.on_run_start(run)
        for _ in range(data.draw(st.integers(0, 3), label="kills")):
            saved_next = data.draw(st.integers(saved, len(scores)), label="checkpoint")
            killed = data.draw(st.integers(saved_next, len(scores)), label="killed")
            for number in range(saved, saved_next):
                run.evaluated(hooks, number, scores[number])
            at_checkpoint = built(callback)
            at_checkpoint.load_state_dict(json.loads(json.dumps(hooks.state_dict())))
            for number in range(saved_next, killed):
                run.evaluated(hooks, number, scores[number])
            hooks, saved = resumed(callback, at_checkpoint, run), saved_next
        for number in range(saved, len(scores)):
            run.evaluated(hooks, number, scores[number])
        assert run.kept() == names_of_best(scores, keep)


def test_models_that_are_gone_from_the_disk_do_not_count_among_the_kept(tmp_path: Path) -> None:
    callback, run = Checkpoint(keep=2), FakeRun(tmp_path)
    hooks = built(callback)
    for number, score in enumerate([0.9, 0.8]):
        run.evaluated(hooks, number, score)
    (tmp_path / "models-mine" / "step-00000010" / "student" / "step").unlink()
    (tmp_path / "models-mine" / "step-00000010" / "student").rmdir()
    (tmp_path / "models-mine" / "step-00000010").rmdir()
    hooks = resumed(callback, hooks, run)
    run.evaluated(hooks, 2, 0.7)
    assert run.kept() == {"step-00000020": "20", "step-00000030": "30"}


def test_only_the_main_process_touches_the_disk(tmp_path: Path) -> None:
    main, other = FakeRun(tmp_path), FakeRun(tmp_path, is_main=False)
    hooks, hooks_of_other = built(Checkpoint(keep=1)), built(Checkpoint(keep=1))
    (tmp_path / "models-mine" / "step-00000099" / "student").mkdir(parents=True)
    (tmp_path / "models-mine" / "step-00000099" / "student" / "step").write_text("99")
    hooks_of_other.on_run_start(other)
    for number, score in enumerate([0.1, 0.2]):
        other.evaluated(hooks_of_other, number, score)
        assert other.kept() == {"step-00000099": "99"}
    hooks.on_run_start(main)
    main.evaluated(hooks, 0, 0.1)
    assert main.kept() == {"step-00000010": "10"}


def test_two_callbacks_keep_apart(tmp_path: Path) -> None:
    run, callback = FakeRun(tmp_path), Checkpoint(keep=1)
    by_student = callback.build(CallbackContext(label="one", metric="miou", scores=("miou",), taps=TAPS))
    by_teacher = Checkpoint(participant="teacher", keep=1).build(
        CallbackContext(label="two", metric="miou", scores=("miou",), taps=TAPS)
    )
    for hooks in (by_student, by_teacher):
        hooks.on_run_start(run)
        for number, score in enumerate([0.3, 0.6]):
            run.evaluated(hooks, number, score)
    assert run.kept("one") == {"step-00000020": "20"}
    assert run.kept("two") == {"step-00000010": "10"}  # the teacher's score falls as the student's rises


@pytest.mark.parametrize(
    ("scores", "patience", "min_rise", "stops_after"),
    [
        ([0.5, 0.4, 0.4, 0.4], 3, 0.0, 4),
        ([0.5, 0.4, 0.6, 0.5, 0.5], 2, 0.0, 5),  # the rise in between starts the count anew
        ([0.5, 0.5], 1, 0.0, 2),  # equal is no rise
        ([0.0, 0.1, 0.2, 0.3], 1, 0.0, None),
        ([0.5, 0.625, 0.75], 1, 0.125, 2),  # no more than min_rise is none
        ([0.5, 0.625, 0.75], 2, 0.125, None),  # slow rises add up: 0.75 is compared with 0.5
        ([-2.0, -1.0, -3.0], 1, 0.0, 3),
        ([0.0], 1, 0.0, None),  # the first is the best so far, even at 0
    ],
)
def test_early_stopping_ends_the_run_at_the_right_evaluation(
    tmp_path: Path, scores: list[float], patience: int, min_rise: float, stops_after: int | None
) -> None:
    run, hooks = FakeRun(tmp_path), built(EarlyStopping(patience=patience, min_rise=min_rise))
    hooks.on_run_start(run)
    stopped_after = None
    for number, score in enumerate(scores):
        run.evaluated(hooks, number, score)
        if run.stopped is not None:
            stopped_after = number + 1
            break
    assert stopped_after == stops_after


@given(scores=SCORES, patience=st.integers(1, 4), cut=st.integers(0, 12), min_rise=st.sampled_from([0.0, 0.125, 0.25]))
def test_early_stopping_survives_a_resume(scores: list[float], patience: int, cut: int, min_rise: float) -> None:
    callback = EarlyStopping(patience=patience, min_rise=min_rise)
    unbroken, broken = FakeRun(Path()), FakeRun(Path())
    hooks, hooks_of_broken = built(callback), built(callback)
    for number, score in enumerate(scores):
        if number == cut:
            hooks_of_broken = resumed(callback, hooks_of_broken, broken)
        unbroken.evaluated(hooks, number, score)
        broken.evaluated(hooks_of_broken, number, score)
        assert broken.stopped == unbroken.stopped


def test_the_reason_says_who_what_and_how_long(tmp_path: Path) -> None:
    run, hooks = FakeRun(tmp_path), built(EarlyStopping(patience=2))
    for number, score in enumerate([0.51239, 0.2, 0.3]):
        run.evaluated(hooks, number, score)
    assert run.stopped == "student miou has not risen above 0.5124 for 2 evaluations"


@pytest.mark.parametrize("callback", [Checkpoint, EarlyStopping])
def test_the_score_is_the_recipes_metric_of_the_participant(tmp_path: Path, callback: type[Callback]) -> None:
    hooks = built(callback(participant="teacher"), metric="pixel_accuracy")
    run = FakeRun(tmp_path)
    run.values = {"val/teacher/miou": 0.1, "val/student/pixel_accuracy": 0.2, "val/teacher/pixel_accuracy": 0.75}
    hooks.on_evaluation_end(run)
    assert "0.75" in json.dumps(hooks.state_dict())


@pytest.mark.parametrize("callback", [Checkpoint, EarlyStopping])
@pytest.mark.parametrize(
    ("participant", "hint"), [("studnet", "did you mean 'student'?"), ("x", "there are teacher, student")]
)
def test_an_unknown_participant_is_told_before_the_first_step(
    tmp_path: Path, callback: type[Callback], participant: str, hint: str
) -> None:
    with pytest.raises(KdsegError) as refused:
        built(callback(participant=participant))
    assert str(refused.value) == f"participant: {participant!r} is no participant; {hint}"


@pytest.mark.parametrize("callback", [Checkpoint, EarlyStopping])
def test_a_score_that_cannot_be_ranked_is_told(tmp_path: Path, callback: type[Callback]) -> None:
    run, hooks = FakeRun(tmp_path), built(callback())
    with pytest.raises(KdsegError, match=r"step 10: val/student/miou is nan"):
        run.evaluated(hooks, 0, float("nan"))


@pytest.mark.parametrize(
    ("callback", "options"),
    [
        (Checkpoint, {"keep": 0}),
        (EarlyStopping, {"patience": 0}),
        (EarlyStopping, {"min_rise": -0.1}),
        (EarlyStopping, {"min_rise": float("nan")}),
        (Gallery, {"images": 0}),
        (Gallery, {"columns": ()}),
        (Gallery, {"columns": ("imag",)}),
        (Checkpoint, {"mode": "least"}),
        (LayerImages, {"channels": 0}),
        (LayerImages, {"show": "all"}),
        (Hardware, {"every": 0}),
        (GradientNorms, {"every": 0}),
        (Profiler, {"count": 0}),
    ],
)
def test_an_option_out_of_range_is_refused(callback: type[Callback], options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        callback(**options)
