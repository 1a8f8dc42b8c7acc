"""Callbacks among each other: their order, and what becomes of one that fails."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from kdseg.data.image_files import read_rgb
from kdseg.errors import KdsegError
from kdseg.hooks import Hooks

RECIPE = """
[models.student]
backbone = { use = "tiny", norm = "batch" }
[terms.labels]
learner = "student"
loss = "cross_entropy"
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

ODD = """
from typing import ClassVar
import numpy as np
from attrs import frozen
from kdseg import Callback, Hooks, hookimpl

class Oddity(Hooks):
    def __init__(self, what):
        self.what = what

    def on_step_end(self, run):
        run.record("odd/x", "much" if self.what == "number" else np.float32(0.5))

    def state_dict(self):
        return {"x": np.float32(1)} if self.what == "state" else {}

@frozen(kw_only=True)
class Odd(Callback):
    '''Hands over what no checkpoint holds.'''

    name: ClassVar[str] = "odd"
    what: str = ""

    def build(self, ctx):
        return Oddity(self.what)

@hookimpl
def kdseg_callbacks():
    return [Odd]
"""
MINE = 'plugins = ["parts.py", "part_losses.py", "mine.py"]\n'
EVENTS = ["on_run_start", "on_gradients", "on_step_end", "on_evaluation_end", "on_checkpoint", "on_run_end"]


def callback(label, text, **options):
    return f"[callbacks.{label}]\n{text}\n" + "".join(f"{key} = {value}\n" for key, value in options.items())


@pytest.mark.parametrize("event", [*EVENTS, "state_dict"])
def test_the_run_goes_on_without_one_that_fails_and_says_so(train, weights, assert_same, lines, caplog, event):
    alone = train(RECIPE + callback("diary", 'use = "diary"'), name="alone")
    falters = callback("odd", f'use = "falters"\nevent = "{event}"', nth=1)
    run = train(RECIPE + falters + callback("diary", 'use = "diary"'), name="both")
    assert_same(weights(run, "student"), weights(alone, "student"))
    (told,) = run.summary["dropped_callbacks"].values()
    assert f"{event} failed after step" in told
    assert f"ValueError: {event} is too much" in told
    assert [text for text in caplog.messages if text == f"callbacks.odd: {told}; the run goes on without it"]
    kept = [line for line in lines(run, "callback") if "diary/length" in line]
    assert len(kept) == 6  # the one after it is told of everything
    assert alone.summary["dropped_callbacks"] == {}


@pytest.mark.parametrize(("what", "told"), [("state", "state_dict failed"), ("number", "on_step_end failed")])
def test_what_a_checkpoint_cannot_hold_costs_the_callback_alone(train, folder, what, told):
    (folder / "mine.py").write_text(ODD, encoding="utf-8")
    run = train(MINE + RECIPE + callback("odd", 'use = "odd"', what=f'"{what}"'))
    assert run.summary["steps"] == 6
    assert told in run.summary["dropped_callbacks"]["odd"]


def test_numbers_of_other_libraries_are_numbers(train, lines, folder):
    (folder / "mine.py").write_text(ODD, encoding="utf-8")
    run = train(MINE + RECIPE + callback("odd", 'use = "odd"', what='"float32"'))
    assert [line["odd/x"] for line in lines(run, "callback")] == [0.5] * 6
    assert run.summary["dropped_callbacks"] == {}


def test_it_is_told_of_nothing_more(train, lines):
    run = train(RECIPE + callback("odd", 'use = "falters"', nth=3))
    assert [line["step"] for line in lines(run, "callback")] == [1, 2]


@pytest.mark.parametrize("event", EVENTS)
def test_a_strict_one_ends_the_run(train, event):
    recipe = RECIPE + callback("odd", f'use = "falters"\nevent = "{event}"', nth=1, strict="true")
    with pytest.raises(KdsegError, match=f"callbacks.odd: {event} failed after step .: ValueError: {event} is too"):
        train(recipe)


def test_a_mistake_that_is_told_before_the_first_step_ends_the_run(train):
    with pytest.raises(KdsegError, match=r"callbacks.best.participant: 'studnt' is no participant; did you mean"):
        train(RECIPE + callback("best", 'use = "checkpoint"', participant='"studnt"'))


def test_the_lower_order_is_told_first_and_equal_ones_as_the_recipe_names_them(train, lines):
    recipe = RECIPE
    for label, order in (("c", 1), ("a", 0), ("d", -1), ("b", 0)):
        recipe += callback(label, f'use = "falters"\nevent = "{label}"', order=order)
    run = train(recipe)
    first = [line for line in lines(run, "callback") if line["step"] == 1]
    assert [name for line in first for name in line if name.startswith("falters/")] == [
        "falters/d",
        "falters/a",
        "falters/b",
        "falters/c",
    ]


class Peek(Hooks):
    """Looks into the network and shows pictures, at an evaluation."""

    def __init__(self):
        self.seen = {}

    def on_evaluation_end(self, run):
        samples = run.samples(3)
        images = torch.from_numpy(np.stack([sample.image for sample in samples]))
        found = run.features("student", images, ["encoder.1", "decoder.0"])
        self.seen[run.step] = ([sample.id for sample in samples], run.taps("student"), found, by_hand(run, images))
        run.show("mine", np.full((4, 6, 3), run.step, np.uint8), "all of one grey")
        with pytest.raises(KdsegError, match=r"student has no tap 'encoder.9'; did you mean 'encoder."):
            run.features("student", images, ["encoder.1", "encoder.9"])


@torch.no_grad()
def by_hand(run, images):
    """Give what the modules at two taps return, one after another."""
    network = run.participants["student"].eval()
    encoded = network.encoder(run.stepper.normalise(images))
    return {"encoder.1": encoded, "decoder.0": network.decoder[0](encoded)}


def test_a_callback_sees_features_at_taps_and_shows_pictures(train, weights, assert_same):
    peek = Peek()
    run = train(RECIPE, watcher=peek, name="peeked")
    assert sorted(peek.seen) == [3, 6]
    for step, (samples, taps, found, wanted) in peek.seen.items():
        assert samples == ["0", "2", "5"]
        assert taps == ("encoder.1", "decoder.1")
        assert_same(found, wanted, 1e-6)
        picture = read_rgb(run.folder / "pictures" / f"mine-{step:08d}.png", upright=False)
        assert picture.shape == (4, 6, 3)
        assert (picture == step).all()
    assert json.loads((run.folder / "pictures" / "mine.json").read_text()) == {"caption": "all of one grey"}
    assert_same(weights(run, "student"), weights(train(RECIPE, name="alone"), "student"))


def test_the_confusion_of_the_last_evaluation_is_kept(train):
    run = train(RECIPE)
    found = json.loads((run.folder / "confusion" / "student.json").read_text())
    assert (found["step"], found["split"], found["classes"]) == (6, "val", ["red", "green", "blue"])
    matrix = np.array(found["matrix"], dtype=float)
    iou = matrix.diagonal() / (matrix.sum(0) + matrix.sum(1) - matrix.diagonal())
    assert iou.mean() == pytest.approx(run.summary["participants"]["student"]["miou"])


def test_a_step_tells_how_long_it_took_and_how_much_of_it_was_waiting(train, lines):
    run = train(RECIPE)
    for line in lines(run, "step"):
        assert 0 <= line["data_seconds"] < line["seconds"]


class Look(Hooks):
    """Keeps the norm of each learner's gradient as it is before the step."""

    def __init__(self):
        self.norms = []

    def on_gradients(self, run, learner):
        gradients = [parameter.grad for parameter in run.participants[learner].parameters()]
        self.norms.append((run.step, learner, sum(float(gradient.square().sum()) for gradient in gradients) ** 0.5))


def test_gradients_are_seen_before_they_are_clipped(train):
    free, clipped = Look(), Look()
    train(RECIPE, watcher=free, name="free")
    train(RECIPE.replace("[terms.labels]", "clip = 1e-6\n[terms.labels]", 1), watcher=clipped, name="clipped")
    assert [(step, learner) for step, learner, _ in free.norms] == [(step, "student") for step in range(6)]
    assert free.norms[0] == clipped.norms[0]
    assert min(norm for _, _, norm in clipped.norms) > 1e-3
