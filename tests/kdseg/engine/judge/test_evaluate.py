"""Scores in a run, against counting by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import kdseg
from kdseg.components import DatasetContext

RECIPE = """
[models.student]
backbone = { use = "tiny", norm = "batch", dropout = 0.5 }
[models.mean]
shadow_of = "student"
[terms.labels]
learner = "student"
loss = "cross_entropy"
[data]
dataset = { use = "squares", images = 11 }
[evaluate]
every = 3
unit = "step"
"""


def counted(run, name, recipe):
    """Score a model as anybody would who has it and the images: class by class, pixel by pixel."""
    model = kdseg.load(run.folder, name, which="last", trust_code=True)
    samples = recipe.data.val.build(DatasetContext(split="val", seed=recipe.seed))
    truth, found = [], []
    for index in range(len(samples)):
        sample = samples[index]
        labelled = sample.mask != 255
        truth.append(sample.mask[labelled])
        found.append(model.predict(sample.image)[labelled])
    truth, found = np.concatenate(truth), np.concatenate(found)
    ious = [
        ((truth == c) & (found == c)).sum() / ((truth == c) | (found == c)).sum()
        for c in range(3)
        if ((truth == c) | (found == c)).any()
    ]
    return float(np.mean(ious)), float((truth == found).mean())


@pytest.mark.parametrize("batch_size", [4, 11, 1])
def test_scores_are_those_of_the_whole_split_in_eval_mode(load, train, lines, batch_size):
    """Eleven images in batches of four: none is left out, none counts twice, whatever the batches."""
    run = train(RECIPE, f"evaluate.batch_size={batch_size}")
    last = lines(run, "evaluation")[-1]
    assert last["step"] == 8
    for name in ("student", "mean"):
        miou, accuracy = counted(run, name, load(RECIPE).recipe)
        assert last[f"val/{name}/miou"] == pytest.approx(miou, abs=1e-12)
        assert last[f"val/{name}/pixel_accuracy"] == pytest.approx(accuracy, abs=1e-12)
        assert run.summary["participants"][name]["miou"] == last[f"val/{name}/miou"]
    assert set(last["val/student/iou"]) == {"red", "green", "blue"}


def test_evaluations_come_when_they_are_due_and_at_the_end(train, lines):
    run = train(RECIPE)
    assert [line["step"] for line in lines(run, "evaluation")] == [3, 6, 8]
    by_epoch = train(RECIPE, "evaluate.unit=epoch", "evaluate.every=1")  # two steps of four make up eleven images
    assert [line["step"] for line in lines(by_epoch, "evaluation")] == [2, 4, 6, 8]


def test_evaluations_change_nothing_that_is_learned(train, weights, assert_same):
    often, seldom = train(RECIPE, "evaluate.every=1"), train(RECIPE, "evaluate.every=8", name="seldom")
    assert_same(weights(often, "student"), weights(seldom, "student"))


def test_a_label_out_of_range_is_told(train, folder):
    parts = (folder / "parts.py").read_text(encoding="utf-8")
    wrong = parts.replace(
        "        return Sample(",
        "        if self.first and index == 9:\n            mask[0, 0] = 7\n        return Sample(",
    )
    (folder / "parts.py").write_text(wrong, encoding="utf-8")
    with pytest.raises(kdseg.KdsegError, match="9: its mask holds the label 7; labels go from 0 to 2"):
        train(RECIPE)


def test_a_frozen_participant_is_scored_once(train, lines):
    train(RECIPE, name="teacher")
    recipe = RECIPE.replace("[models.mean]\nshadow_of", '[models.mean]\nweights = { run = "runs/teacher" }\nfrozen')
    recipe = recipe.replace(
        'frozen = "student"', "frozen = true\nbackbone = { use = 'tiny', norm = 'batch', dropout = 0.5 }"
    )
    run = train(recipe)
    told = ["val/mean/miou" in line for line in lines(run, "evaluation")]
    assert told == [True, False, False, False]  # before the first step
    assert not math.isnan(run.summary["participants"]["mean"]["miou"])
    assert torch.is_grad_enabled()
