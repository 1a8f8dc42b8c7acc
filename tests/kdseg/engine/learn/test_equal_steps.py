"""A step is the same step, however its batch is split into micro-batches."""

from __future__ import annotations

import pytest
from terms import term

SHAPE = """
[train]
steps = 20
batch_size = 8
[models.teacher]
backbone = {{ use = "tiny", norm = "group", width = 6 }}
optimizer = {{ use = "{optimizer}", lr = 1e-2 }}
[models.student]
backbone = {{ use = "tiny", norm = "group" }}
optimizer = {{ use = "{optimizer}", lr = 2e-2 }}
clip = 1.0
[models.mean]
shadow_of = "student"
[turns]
order = ["teach", "study", "both"]
sync = "{sync}"
[callbacks.precise]
use = "float64"
"""
TEACH, STUDY = '["teach", "both"]', '["study", "both"]'
LABELS = "{{ use = 'cross_entropy', weights = [1.0, 0.1, 7.3], label_smoothing = 0.1 }}"
SHAPE += term("teacher-labels", "teacher", turn=TEACH)
SHAPE += term("labels", "student", LABELS, turn=STUDY)
SHAPE += term("mimic", "student", '{{ use = "pixel_kl", temperature = 3.0 }}', source="teacher", turn=STUDY)
SHAPE += term("self", "student", "pixel_kl", source="mean", turn="study")
SHAPE += term("small", "student", "small_features", turn="study")
SHAPE += term("doubt", "teacher", "confidence_penalty", turn=TEACH)


def numbers(line):
    return {name: value for name, value in line.items() if "/" in name}


@pytest.mark.parametrize("sync", ["simultaneous", "sequential"])
@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_micro_batches_change_nothing(train, weights, assert_same, lines, optimizer, sync):
    """Losses per pixel, with and without class weights, and per image; ignored pixels are spread unevenly."""
    recipe = SHAPE.format(optimizer=optimizer, sync=sync)
    runs = [train(recipe, f"train.micro_batches={parts}") for parts in (1, 2, 4)]
    for run in runs[1:]:
        for name in ("teacher", "student", "mean"):
            assert_same(weights(run, name), weights(runs[0], name), 1e-10)
        for found, wanted in zip(lines(run, "step"), lines(runs[0], "step"), strict=True):
            assert numbers(found) == pytest.approx(numbers(wanted), rel=1e-5)


def test_a_loss_per_batch_is_the_mean_of_its_micro_batches(train, lines):
    """So it does change with their number, as `check` warns: here, a mean of squares is not the square of a mean."""
    recipe = """
[models.student]
backbone = { use = "tiny", norm = "group" }
optimizer = { use = "SGD", lr = 0.0 }
[terms.margin]
learner = "student"
loss = "margin"
[callbacks.precise]
use = "float64"
"""
    values = {}
    for parts in (1, 4):
        run = train(recipe, f"train.micro_batches={parts}", "train.batch_size=4", "train.steps=2")
        values[parts] = [line["loss/margin"] for line in lines(run, "step")]
    images = train(recipe, "train.batch_size=1", "train.steps=8", "seed=3")
    assert values[4] != pytest.approx(values[1], rel=1e-6)
    single = [line["loss/margin"] for line in lines(images, "step")]  # the same order, one image a step, no learning
    assert values[4] == pytest.approx([sum(single[:4]) / 4, sum(single[4:]) / 4], rel=1e-5)


def test_in_float32_the_difference_is_rounding(train, weights, assert_same):
    recipe = SHAPE.format(optimizer="SGD", sync="simultaneous").replace('[callbacks.precise]\nuse = "float64"\n', "")
    whole, parted = (train(recipe, f"train.micro_batches={parts}") for parts in (1, 4))
    for name in ("teacher", "student", "mean"):
        assert_same(weights(parted, name), weights(whole, name), 1e-5)
