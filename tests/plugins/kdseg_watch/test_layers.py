"""Layer images: what is drawn is what the modules give, and what cannot be drawn is told before the first step."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kdseg.errors import KdsegError
from kdseg.hooks import Hooks
from kdseg_watch import layers
from kdseg_watch.layer_sheets import attention_pair, channels_sheet, components_sheet, difference_sheet, notes_of

RECIPE = """
[models.teacher]
backbone = { use = "tiny", width = 6 }
[models.student]
backbone = "tiny"
[terms.teacher-labels]
learner = "teacher"
loss = "cross_entropy"
[terms.mimic]
learner = "student"
source = "teacher"
loss = "pixel_kl"
[train]
steps = 6
[evaluate]
every = 3
unit = "step"
[callbacks.shown]
use = "layer_images"
"""
ANYTHING = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=4, max_dims=4, max_side=4).map(lambda shape: (2, *shape[1:])),
    elements=st.floats(-1e6, 1e6) | st.sampled_from([0.0, np.nan, np.inf, -np.inf]),
)
IMAGES = np.zeros((2, 32, 48, 3), np.uint8)
HEADINGS = ("first", "second")


@given(ANYTHING)
def test_features_of_any_shape_and_value_are_drawn(features):
    """One cell, one channel, constants, nan and infinities among them."""
    chosen = {"tap": tuple(range(features.shape[1]))[:3]}
    assert channels_sheet({"tap": features}, chosen, IMAGES, HEADINGS).dtype == np.uint8
    assert components_sheet({"tap": features}, IMAGES, HEADINGS).dtype == np.uint8
    pairs = {("one", "other"): (features, np.repeat(features, 2, axis=3))}
    assert difference_sheet(("student", "teacher"), pairs, IMAGES, HEADINGS).dtype == np.uint8


def test_what_is_not_finite_or_constant_is_told():
    features = np.random.default_rng(0).normal(size=(1, 4, 5, 5))
    assert notes_of(features) == ["4 channels", "5x5 cells"]
    features[0, 1] = 3.0
    features[0, 2, 0] = np.nan
    assert notes_of(features) == ["4 channels", "5x5 cells", "5.0% not finite", "1 of them constant"]


def test_a_source_of_another_size_and_width_is_brought_to_the_learner():
    numbers = np.random.default_rng(0)
    mine, theirs = numbers.normal(size=(1, 3, 4, 6)), numbers.normal(size=(1, 7, 8, 12))
    ours, others = attention_pair(mine, theirs)
    sums = np.abs(theirs).sum(1)[0].reshape(4, 2, 6, 2).mean((1, 3))
    np.testing.assert_allclose(others[0], sums / np.linalg.norm(sums) * np.sqrt(24), rtol=1e-9)
    own = np.abs(mine).sum(1)[0]
    np.testing.assert_allclose(ours[0], own / np.linalg.norm(own) * np.sqrt(24), rtol=1e-9)


class Compare(Hooks):
    """Keeps what the modules give when they are run by hand."""

    def __init__(self):
        self.by_hand = {}

    @torch.no_grad()
    def on_evaluation_end(self, run):
        images = torch.from_numpy(np.stack([one.image for one in run.samples(2)]))
        for name, network in run.participants.items():
            encoded = network.eval().encoder(run.stepper.normalise(images))
            self.by_hand[run.step, name] = {"encoder.1": encoded, "decoder.1": network.decoder(encoded)}


@pytest.fixture
def drawn(monkeypatch):
    """Everything that is drawn, as the function that draws was called."""
    calls = []
    for name in ("channels_sheet", "components_sheet", "difference_sheet"):
        function = getattr(layers, name)

        def told(*args, name=name, function=function):
            calls.append((name, args))
            return function(*args)

        monkeypatch.setattr(layers, name, told)
    return calls


def test_what_is_drawn_is_what_the_modules_give(train, drawn):
    compare = Compare()
    run = train(RECIPE + "images = 2", watcher=compare)
    assert run.summary["dropped_callbacks"] == {}
    assert [name for name, _ in drawn] == ["channels_sheet"] * 4
    for (_, (features, *_)), wanted in zip(drawn, compare.by_hand.values(), strict=True):
        assert [*features] == ["encoder.1", "decoder.1"]
        for tap, values in features.items():
            np.testing.assert_allclose(values, wanted[tap].double().numpy(), atol=1e-6)
    assert sorted(path.name for path in (run.folder / "pictures").glob("shown-*")) == [
        "shown-student-00000003.png", "shown-student-00000006.png", "shown-student.json",
        "shown-teacher-00000003.png", "shown-teacher-00000006.png", "shown-teacher.json",
    ]  # fmt: skip


def test_the_channels_are_chosen_once_so_that_pictures_compare(train, drawn):
    train(RECIPE + 'participants = ["student"]\nchannels = 2')
    (_, first), (_, second) = drawn
    assert first[1] == second[1]
    assert {tap: len(chosen) for tap, chosen in first[1].items()} == {"encoder.1": 2, "decoder.1": 2}
    for tap, values in first[0].items():
        variances = values.var((0, 2, 3))
        assert first[1][tap] == [*np.argsort(-variances, kind="stable")[:2]]


def test_the_difference_of_a_pair_is_that_of_its_taps(train, drawn):
    compare = Compare()
    run = train(RECIPE + 'between = ["encoder.1", "decoder.1 -> encoder.1"]\nimages = 2', watcher=compare)
    assert [name for name, _ in drawn] == ["difference_sheet"] * 2
    names, pairs, *_ = drawn[0][1]
    assert names == ("student", "teacher")
    assert [*pairs] == [("encoder.1", "encoder.1"), ("decoder.1", "encoder.1")]
    mine, theirs = pairs["decoder.1", "encoder.1"]
    np.testing.assert_allclose(mine, compare.by_hand[3, "student"]["decoder.1"].double().numpy(), atol=1e-6)
    np.testing.assert_allclose(theirs, compare.by_hand[3, "teacher"]["encoder.1"].double().numpy(), atol=1e-6)
    assert (run.folder / "pictures" / "shown-difference-00000006.png").exists()
    assert "red where the learner" in json.loads((run.folder / "pictures/shown-difference.json").read_text())["caption"]


@pytest.mark.parametrize(
    ("options", "steps"),
    [("", [3, 6]), ("every = 2", [6]), ('unit = "step"\nevery = 2', [2, 4, 6]), ('unit = "step"\nevery = 4', [4])],
)
def test_pictures_come_when_they_are_asked_for(train, options, steps):
    run = train(RECIPE + 'participants = ["student"]\nshow = "components"\n' + options)
    found = sorted(path.name for path in (run.folder / "pictures").glob("shown-*.png"))
    assert found == [f"shown-student-{step:08d}.png" for step in steps]


def test_the_last_evaluation_of_a_run_that_ends_early_is_drawn(train):
    enough = '[callbacks.enough]\nuse = "early_stopping"\npatience = 1\nmin_rise = 0.9'
    run = train(RECIPE + f'participants = ["student"]\nevery = 5\n{enough}')
    assert run.summary["steps"] == 6
    assert [path.name for path in (run.folder / "pictures").glob("shown-*.png")] == ["shown-student-00000006.png"]


def test_watching_changes_nothing(train, weights, assert_same):
    watched = train(RECIPE + 'unit = "step"', name="watched")
    alone = train(RECIPE.partition("[callbacks")[0], name="alone")
    assert_same(weights(watched, "student"), weights(alone, "student"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ('participants = ["studnt"]', "participants: 'studnt' is no participant; did you mean 'student'?"),
        ('taps = ["encoder.9"]', "taps: teacher has no tap 'encoder.9'; did you mean 'encoder."),
        ('taps = ["x"]', "taps: teacher has no tap 'x'; there are encoder.1, decoder.1"),
        ('between = ["encoder.1 -> encoder.7"]', "between: teacher has no tap 'encoder.7'; did you mean 'encoder."),
        ('between = ["encoder.1 -> a -> b"]', "between: 'encoder.1 -> a -> b' is no pair of taps; write"),
        ('between = ["encoder.1"]\nsource = "x"', "source: 'x' is no participant; there are teacher, student"),
    ],
)
def test_what_does_not_exist_is_told_before_the_first_step(train, options, told):
    with pytest.raises(KdsegError) as refused:
        train(RECIPE + options)
    assert f": callbacks.shown.{told}" in str(refused.value)


def test_submodules_may_be_named_by_their_paths(train, drawn):
    run = train(RECIPE + 'taps = ["decoder.0", "head"]')
    assert run.summary["dropped_callbacks"] == {}
    assert [*drawn[0][1][0]] == ["decoder.0", "head"]


FLAT = """
from typing import ClassVar
from attrs import frozen
from kdseg import Backbone, hookimpl

@frozen(kw_only=True)
class Flat(Backbone):
    \"\"\"A convolution, and something beside it that is no map.\"\"\"

    name: ClassVar[str] = "flat"

    def build(self, ctx):
        from torch import nn

        class Network(nn.Module):
            def __init__(self):
                super().__init__()
                self.body, self.relu = nn.Conv2d(3, 8, 1), nn.ReLU(inplace=True)
                self.head, self.words = nn.Conv2d(8, ctx.num_classes, 1), nn.Flatten(2)

            def forward(self, images):
                self.words(images)
                return self.head(self.relu(self.body(images)))

        return Network()

@hookimpl
def kdseg_backbones():
    return [Flat]
"""


def test_networks_without_stages_and_modules_that_make_no_map(train, folder, drawn):
    (folder / "flat.py").write_text(FLAT)
    recipe = 'plugins = ["parts.py", "part_losses.py", "flat.py"]\n[models.one]\nbackbone = "flat"\n'
    recipe += '[terms.labels]\nlearner = "one"\nloss = "cross_entropy"\n[callbacks.shown]\nuse = "layer_images"\n'
    with pytest.raises(KdsegError, match=r"callbacks.shown.taps: one offers no stages; name submodules"):
        train(recipe)
    others = RECIPE.replace('[callbacks.shown]\nuse = "layer_images"\n', "") + recipe.partition("\n")[2]
    run = train(recipe.partition("\n")[0] + "\n" + others, name="beside")
    assert {path.name[:10] for path in (run.folder / "pictures").glob("shown-*.png")} == {"shown-stud", "shown-teac"}
    run = train(recipe + 'taps = ["words"]')
    assert "one makes no map at words; name others in `taps`" in run.summary["dropped_callbacks"]["shown"]
    assert train(recipe + 'taps = ["head"]').summary["dropped_callbacks"] == {}
    drawn.clear()
    train(recipe + 'taps = ["body", "relu"]')
    features = drawn[0][1][0]
    assert (features["body"] < 0).any()  # though the next layer works in its place
    assert (features["relu"] == features["body"].clip(0)).all()
