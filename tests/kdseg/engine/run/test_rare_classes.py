"""A run that draws its images by their classes."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from kdseg.components import DatasetContext
from kdseg.data.rare_classes import rare_classes
from kdseg.data.scan import scan
from kdseg.engine.check.phases import check
from kdseg.engine.splits import scans
from kdseg.errors import KdsegError
from kdseg.hooks import Hooks

RECIPE = """
[data]
rare_classes = { temperature = 0.05, min_share = 0.3 }

[models.student]
backbone = "tiny"

[terms.labels]
learner = "student"
loss = { use = "cross_entropy", class_weights = "median_frequency" }
"""


class Watcher(Hooks):
    def __init__(self):
        self.ids = []

    def on_step_end(self, run):
        self.ids.append([int(name) for name in run.batch.ids])


def test_its_batches_are_the_draws_of_the_whole_split(train, load, monkeypatch, caplog):
    """However many samples the shares of classes alone would be learnt from; both read them once."""
    monkeypatch.setattr(scans, "MOST_DRAWN", 3)
    watcher = Watcher()
    with caplog.at_level(logging.INFO, "kdseg"):
        train(RECIPE, watcher=watcher)
    assert [record.getMessage() for record in caplog.records if "reading" in record.getMessage()] == [
        "reading 16 images of the train split"
    ]
    recipe = load(RECIPE).recipe
    found = scan(recipe.data.train.build(DatasetContext(split="train", seed=recipe.seed)), 3)
    drawer = rare_classes(
        found.labelled_pixels,
        found.pixels.sum(1),
        temperature=0.05,
        min_share=0.3,
        min_crop_share=recipe.data.rare_classes.min_crop_share,
        attempts=recipe.data.rare_classes.attempts,
    )
    wanted = [index for epoch in range(2) for _, index, *_ in drawer.epoch(recipe.seed, epoch)]
    assert watcher.ids == np.reshape(wanted, (8, 4)).tolist()


def test_an_epoch_keeps_its_length(load):
    assert check(load(RECIPE)).plan.steps_per_epoch == 4


def test_a_split_without_labels_is_told(train, monkeypatch):
    from kdseg.data.scan import Scan

    monkeypatch.setattr(Scan, "labelled_pixels", property(lambda self: 0 * self.pixels[:, :-1]))
    with pytest.raises(KdsegError, match=r"data\.rare_classes: .* there are none"):
        train(RECIPE, "terms.labels.loss.class_weights='none'")
