"""Callbacks that judge by other values than the recipe's metric."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pretended_run import SCORES, TAPS, FakeRun, names_of_best, resumed

from kdseg.components import CallbackContext
from kdseg.errors import KdsegError
from kdseg_watch.components import Checkpoint, EarlyStopping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg.components import Callback
    from kdseg.hooks import Hooks

CONTEXT = CallbackContext(
    label="mine", metric="miou", scores=("miou", "pixel_accuracy"), terms=("labels", "mimic"), taps=TAPS
)


def judged(callback: Callback, run: FakeRun, values: Sequence[float], name: str) -> Hooks:
    """Let a callback see a value at evaluation after evaluation."""
    hooks = callback.build(CONTEXT)
    hooks.on_run_start(run)
    for number, value in enumerate(values):
        run.step, run.values = 10 * (number + 1), {name: value}
        hooks.on_evaluation_end(run)
    return hooks


@given(losses=SCORES, keep=st.integers(1, 4))
def test_checkpoint_keeps_the_lowest_losses(losses: list[float], keep: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = FakeRun(Path(folder))
        judged(Checkpoint(metric="loss/mimic", mode="less", keep=keep), run, losses, "loss/mimic")
        assert run.kept() == names_of_best([-loss for loss in losses], keep)


@given(scores=SCORES, keep=st.integers(1, 3), every=st.integers(1, 4))
def test_checkpoint_keeps_every_so_many_beside_the_best(scores: list[float], keep: int, every: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = FakeRun(Path(folder))
        callback = Checkpoint(metric="pixel_accuracy", keep=keep, every=every)
        hooks = judged(callback, run, scores, "val/student/pixel_accuracy")
        regular = {f"step-{10 * n:08d}": str(10 * n) for n in range(every, len(scores) + 1, every)}
        assert run.kept() == names_of_best(scores, keep) | regular
        before = run.kept()
        resumed(callback, hooks, run)
        assert run.kept() == before


def test_early_stopping_waits_for_a_loss_to_fall(tmp_path: Path) -> None:
    run, callback = FakeRun(tmp_path), EarlyStopping(metric="loss/labels", mode="less", patience=2, min_rise=0.1)
    judged(callback, run, [2.0, 1.5, 1.45], "loss/labels")
    assert run.stopped is None
    judged(callback, run, [2.0, 1.5, 1.45, 1.41], "loss/labels")
    assert run.stopped == "loss/labels has not fallen below 1.5000 for 2 evaluations"


@pytest.mark.parametrize("mode", ["", "less", "greater"])
def test_a_loss_that_falls_is_a_gain_unless_the_recipe_says_otherwise(tmp_path: Path, mode: str) -> None:
    run, callback = FakeRun(tmp_path), EarlyStopping(metric="loss/labels", mode=mode, patience=2)
    judged(callback, run, [2.0, 1.5, 1.0], "loss/labels")
    assert (run.stopped is None) is (mode != "greater")


@pytest.mark.parametrize("callback", [Checkpoint, EarlyStopping])
def test_a_term_that_did_not_count_yet_is_waited_for(tmp_path: Path, callback: type[Callback]) -> None:
    run = FakeRun(tmp_path)
    hooks = judged(callback(metric="loss/mimic"), run, [1.0, 2.0, 3.0], "loss/labels")
    assert run.stopped is None
    assert run.kept() == {}
    run.values = {"loss/mimic": 0.5}
    hooks.on_evaluation_end(run)
    assert "0.5" in json.dumps(hooks.state_dict())


@pytest.mark.parametrize("callback", [Checkpoint, EarlyStopping])
@pytest.mark.parametrize(
    ("metric", "hint"),
    [
        ("mioo", "did you mean 'miou'?"),
        ("loss/mimick", "did you mean 'loss/mimic'?"),
        ("xyz", "there are miou, pixel_accuracy, loss/labels, loss/mimic"),
        ("gradients/student", "there are miou, pixel_accuracy, loss/labels, loss/mimic"),  # another on each process
    ],
)
def test_an_unknown_metric_is_told_before_the_first_step(
    tmp_path: Path, callback: type[Callback], metric: str, hint: str
) -> None:
    with pytest.raises(KdsegError) as refused:
        callback(metric=metric).build(CONTEXT)
    assert str(refused.value) == f"metric: {metric!r} is no score and no term's value; {hint}"
