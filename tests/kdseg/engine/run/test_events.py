"""The events of a run, as callbacks see them."""

from __future__ import annotations

import pytest
import torch

from kdseg.hooks import Hooks

RECIPE = """
[models.student]
backbone = { use = "tiny", norm = "batch" }
[terms.labels]
learner = "student"
loss = "cross_entropy"
weight = { curve = "linear", from = 1, to = 0 }
[train]
steps = 6
[data]
dataset = { use = "squares", images = 8 }
[evaluate]
every = 3
unit = "step"
[checkpoint]
every = 2
unit = "step"
"""


class Listen(Hooks):
    """Writes down what happens, and acts at one event."""

    def __init__(self, at=None, act=None):
        self.heard, self.at, self.act = [], at, act

    def hear(self, run, event):
        self.heard.append(f"{event} {run.step}")
        if self.heard[-1] == self.at:
            self.act(run)

    def on_run_start(self, run):
        self.hear(run, "start")

    def on_epoch_start(self, run):
        self.hear(run, "epoch")

    def on_step_end(self, run):
        self.hear(run, "step")

    def on_evaluation_end(self, run):
        self.hear(run, "evaluation")

    def on_checkpoint(self, run):
        self.hear(run, "checkpoint")

    def on_run_end(self, run):
        self.hear(run, "end")

    def on_exception(self, run, error):
        self.hear(run, type(error).__name__)


WHOLE = ["start 0"]
WHOLE += ["epoch 0", "step 1", "step 2", "checkpoint 2"]
WHOLE += ["epoch 2", "step 3", "evaluation 3", "step 4", "checkpoint 4"]
WHOLE += ["epoch 4", "step 5", "step 6", "evaluation 6", "checkpoint 6"]
WHOLE += ["end 6"]


def test_events_come_in_the_order_of_the_run(train):
    listen = Listen()
    train(RECIPE, watcher=listen)
    assert listen.heard == WHOLE


@pytest.mark.parametrize(
    ("at", "rest"),
    [
        ("step 3", ["evaluation 3", "checkpoint 3", "end 3"]),
        ("evaluation 3", ["checkpoint 3", "end 3"]),
        ("checkpoint 2", ["evaluation 2", "checkpoint 2", "end 2"]),
        ("epoch 0", ["step 1", "evaluation 1", "checkpoint 1", "end 1"]),
        ("start 0", ["epoch 0", "step 1", "evaluation 1", "checkpoint 1", "end 1"]),
    ],
)
def test_a_callback_may_end_the_run_as_finished(train, weights, at, rest):
    listen = Listen(at, lambda run: run.stop("enough"))
    run = train(RECIPE, watcher=listen)
    assert listen.heard == WHOLE[: WHOLE.index(at) + 1] + rest
    assert run.summary["stopped"] == "enough"
    assert weights(run, "student")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_when_the_run_dies_callbacks_hear_of_it_and_the_error_goes_on(train, error):
    def fail(_run):
        raise error("no more")

    listen = Listen("step 3", fail)
    with pytest.raises(error, match="no more"):
        train(RECIPE, watcher=listen)
    assert listen.heard == [*WHOLE[: WHOLE.index("step 3") + 1], f"{error.__name__} 3"]


def test_what_a_callback_sees(train, lines, by_hand, load):
    seen = {}

    def look(run):
        images = torch.zeros(1, 40, 48, 3, dtype=torch.uint8)
        seen["logits"] = run.predict("student", images)
        seen["again"] = run.participants["student"].train()(run.stepper.normalise(images))
        run.record("mine/number", 7.0)
        seen["values"] = dict(run.values)
        seen["facts"] = (run.total_steps, run.epoch, run.is_main, run.classes.names, len(run.batch.ids))
        assert run.pictures.is_dir()
        assert run.pictures.parent == run.folder

    run = train(RECIPE, watcher=Listen("evaluation 3", look))
    assert seen["facts"] == (6, 1, True, ("red", "green", "blue"), 4)
    assert seen["logits"].shape == (1, 3, 40, 48)
    assert not seen["logits"].requires_grad
    assert not torch.equal(seen["logits"], seen["again"])  # in eval mode
    step, evaluation = lines(run, "step")[2], lines(run, "evaluation")[0]
    assert seen["values"]["loss/labels"] == step["loss/labels"]
    assert seen["values"]["weight/labels"] == pytest.approx(1 - 2 / 6)
    assert seen["values"]["val/student/miou"] == evaluation["val/student/miou"]
    assert lines(run, "callback") == [{"kind": "callback", "step": 3, "mine/number": 7.0}]


def test_looking_in_the_middle_of_a_run_changes_nothing(train, weights, assert_same):
    """`predict` leaves eval mode behind, and draws from no stream of the run's; the next step learns as ever."""
    recipe = RECIPE.replace('norm = "batch"', 'norm = "batch", dropout = 0.3')

    def look(run):
        torch.rand(1000)
        run.predict("student", torch.zeros(1, 40, 48, 3, dtype=torch.uint8))

    looked = train(recipe, watcher=Listen("step 3", look))
    assert_same(weights(looked, "student"), weights(train(recipe, name="alone"), "student"))
