"""The gallery: whose mistakes are whose, how unsure a learner is, and what is drawn when."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kdseg.data.image_files import read_rgb
from kdseg.errors import KdsegError
from kdseg.hooks import Hooks
from kdseg_watch import gallery_sheet as sheet

RECIPE = """
[models.teacher]
backbone = "tiny"
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
every = 2
unit = "step"
[callbacks.shown]
use = "gallery"
"""
CLASSES = hnp.arrays(np.uint8, (3, 4), elements=st.integers(0, 2))
LABELS = hnp.arrays(np.uint8, (3, 4), elements=st.sampled_from([0, 1, 2, 255]))


@given(CLASSES, LABELS, CLASSES)
def test_each_pixel_has_the_colour_of_what_came_to_pass(mine, truth, theirs):
    painted = sheet.outcomes(mine, truth, theirs)
    for pixel in np.ndindex(mine.shape):
        one, label, other = int(mine[pixel]), int(truth[pixel]), int(theirs[pixel])
        if label == 255:
            wanted = sheet.IGNORED
        elif one == label:
            wanted = sheet.RIGHT if other == label else sheet.RESCUED
        elif other == label:
            wanted = sheet.MISSED
        else:
            wanted = sheet.COPIED if one == other else sheet.APART
        assert tuple(painted[pixel]) == wanted


def test_alone_a_learner_is_right_or_wrong():
    truth = np.array([[0, 1, 255]], np.uint8)
    painted = sheet.outcomes(np.array([[0, 0, 0]], np.uint8), truth, None)
    assert [tuple(one) for one in painted[0]] == [sheet.RIGHT, sheet.MISSED, sheet.IGNORED]


def test_every_colour_of_a_map_is_told_and_no_two_are_alike():
    for other in ("teacher", None):
        told = sheet.meanings("student", other)
        assert len(set(told.values())) == len(told)
    assert set(sheet.meanings("student", "teacher").values()) == {
        sheet.RIGHT, sheet.RESCUED, sheet.MISSED, sheet.COPIED, sheet.APART, sheet.IGNORED,
    }  # fmt: skip


def test_entropy_is_the_closed_form():
    even = torch.zeros(5, 1, 1)
    sure = torch.tensor([40.0, 0, 0, 0, 0]).view(5, 1, 1)
    unknown = torch.tensor([0.0, 0.0, -math.inf, -math.inf]).view(4, 1, 1)  # two of four, equally
    two = torch.tensor([math.log(3), 0.0]).view(2, 1, 1)  # 3/4 and 1/4
    assert sheet.entropy_share(even).item() == pytest.approx(1.0)
    assert sheet.entropy_share(sure).item() == pytest.approx(0.0, abs=1e-12)
    assert sheet.entropy_share(unknown).item() == pytest.approx(math.log(2) / math.log(4))
    wanted = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / math.log(2)
    assert sheet.entropy_share(two).item() == pytest.approx(wanted)


def test_entropy_of_lost_logits_is_grey():
    logits = torch.zeros(3, 1, 2)
    logits[0, 0, 1] = math.nan
    painted = sheet.paint_entropy(logits)
    assert tuple(painted[0, 1]) == (128, 128, 128)
    assert tuple(painted[0, 0]) != (128, 128, 128)


@pytest.mark.parametrize("width", [60, 300, 2000])
def test_a_legend_fits_its_width_in_as_many_lines_as_that_takes(width):
    strip = sheet.legend(width, sheet.meanings("student", "teacher"))
    assert strip.shape[1] == width
    assert strip.shape[0] == 32 if width == 2000 else strip.shape[0] > 32


class Tracked:
    """A tracker that keeps what it is handed."""

    def __init__(self):
        self.masks_, self.pictures = [], []

    def log(self, *_): ...

    def settle(self): ...

    def finish(self, **_told): ...

    def picture(self, step, name, picture, caption):
        self.pictures.append((step, name, caption))

    def masks(self, step, name, images, masks):
        self.masks_.append((step, name, images, masks))


class Listen(Hooks):
    """Puts a tracker among those of the run, and keeps what each network predicts."""

    def __init__(self):
        self.tracker, self.predicted, self.truth = Tracked(), {}, []

    def on_run_start(self, run):
        run.recorder.trackers = (*run.recorder.trackers, self.tracker)

    def on_evaluation_end(self, run):
        self.truth = [one.mask for one in run.samples(2)]
        for name in run.participants:
            self.predicted[run.step, name] = [
                run.predict(name, torch.from_numpy(one.image)[None])[0].argmax(0).numpy() for one in run.samples(2)
            ]


def test_masks_and_pictures_go_to_trackers(train):
    listen = Listen()
    train(RECIPE + "images = 2", watcher=listen)
    assert [(step, name) for step, name, _, _ in listen.tracker.masks_] == [(2, "shown"), (4, "shown"), (6, "shown")]
    for step, _, images, masks in listen.tracker.masks_:
        assert [*masks] == ["truth", "teacher", "student"]
        assert [image.shape for image in images] == [(32, 32, 3)] * 2
        for name in ("teacher", "student"):
            assert all(
                (found == wanted).all() for found, wanted in zip(masks[name], listen.predicted[step, name], strict=True)
            )
        assert all((found == wanted).all() for found, wanted in zip(masks["truth"], listen.truth, strict=True))
    (caption,) = {caption for _, _, caption in listen.tracker.pictures}
    assert "where student disagrees with the truth and teacher" in caption


@pytest.mark.parametrize(("every", "steps"), [(1, [2, 4, 6]), (2, [4, 6]), (3, [6]), (9, [6])])
def test_a_picture_comes_every_so_many_evaluations_and_at_the_end(train, every, steps):
    run = train(RECIPE + f"every = {every}")
    found = sorted(path.name for path in (run.folder / "pictures").glob("shown-*.png"))
    assert found == [f"shown-{step:08d}.png" for step in steps]
    assert "truth" in json.loads((run.folder / "pictures" / "shown.json").read_text())["caption"]


def test_the_last_evaluation_of_a_run_that_ends_early_is_drawn(train):
    enough = '[callbacks.enough]\nuse = "early_stopping"\npatience = 1\nmin_rise = 0.9'
    run = train(RECIPE + f"every = 9\n{enough}")
    assert run.summary["steps"] == 4
    assert [path.name for path in (run.folder / "pictures").glob("shown-*.png")] == ["shown-00000004.png"]


def test_the_columns_are_those_that_are_asked_for(train):
    run = train(RECIPE + 'columns = ["truth", "image"]\nimages = 3')
    picture = read_rgb(run.folder / "pictures" / "shown-00000006.png", upright=False)
    alone = train(RECIPE + 'columns = ["truth", "image", "predictions"]\nimages = 3', name="more")
    wider = read_rgb(alone.folder / "pictures" / "shown-00000006.png", upright=False)
    assert picture.shape[0] == wider.shape[0]
    assert wider.shape[1] + 4 == (picture.shape[1] + 4) * 2  # four columns for two
    assert (wider[22:, : picture.shape[1]] == picture[22:]).all()


@pytest.mark.parametrize("option", ["learner", "source"])
def test_an_unknown_participant_is_told_before_the_first_step(train, option):
    with pytest.raises(
        KdsegError, match=f"callbacks.shown.{option}: 'techer' is no participant; did you mean 'teacher"
    ):
        train(RECIPE + f'{option} = "techer"')


def test_a_learner_alone_is_held_against_the_truth(train):
    recipe = '[models.one]\nbackbone = "tiny"\n[terms.labels]\nlearner = "one"\nloss = "cross_entropy"\n'
    run = train(recipe + '[callbacks.shown]\nuse = "gallery"')
    assert run.summary["dropped_callbacks"] == {}
    assert "and" not in json.loads((run.folder / "pictures" / "shown.json").read_text())["caption"].split("truth,")[1]
