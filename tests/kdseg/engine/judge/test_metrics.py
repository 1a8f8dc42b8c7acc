"""Metrics of plugins judge what every other score judges."""

from __future__ import annotations

import pytest

from kdseg import KdsegError, load
from kdseg.components import DatasetContext

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

RECIPE = """
[models.student]
backbone = "tiny"
[terms.labels]
learner = "student"
loss = "cross_entropy"
[data]
dataset = { use = "squares", images = 13 }
[evaluate]
every = 4
unit = "step"
metrics = ["even"]
metric = "even/accuracy"
"""


def accuracy_by_hand(run, recipe):
    """The accuracy of the last weights over the even images, pixel by pixel from the saved model."""
    network = load(run, which="last", trust_code=True)
    samples = recipe.data.val.build(DatasetContext(split="val", seed=recipe.seed))
    even = [samples[index] for index in range(0, len(samples), 2)]
    right = sum(int((network.predict(one.image) == one.mask)[one.mask != 255].sum()) for one in even)
    return right / sum(int((one.mask != 255).sum()) for one in even)


def test_a_recipe_judges_by_a_metric_of_a_plugin(train, load, lines):
    run = train(RECIPE)
    recipe = load(RECIPE).recipe
    last = lines(run, "evaluation")[-1]
    assert last["val/student/even/accuracy"] == pytest.approx(accuracy_by_hand(run.folder, recipe), abs=1e-12)
    best = max(lines(run, "evaluation"), key=lambda line: line["val/student/even/accuracy"])
    assert run.summary["participants"]["student"]["best"] == {
        "step": best["step"],
        "value": best["val/student/even/accuracy"],
    }


def test_processes_add_up(train, processes, lines):
    shared = processes(2, RECIPE, "models.student.optimizer={use='SGD', lr=0.0}")
    alone = train(RECIPE, "models.student.optimizer={use='SGD', lr=0.0}", name="alone")
    assert lines(shared, "evaluation") == lines(alone, "evaluation")


def test_the_command_line_takes_one_beside_the_recipe(train, kdseg):
    run = train(RECIPE.replace('metrics = ["even"]\nmetric = "even/accuracy"\n', ""))
    _, plain, _ = kdseg("evaluate", str(run.folder))
    assert "even" not in plain
    status, out, _ = kdseg("evaluate", str(run.folder), "--metric", "even")
    assert status == 0
    assert "even/accuracy" in out
    assert "even/counts right" in out
    status, _, err = kdseg("evaluate", str(run.folder), "--metric", "evn")
    assert status == 2
    assert "did you mean 'even'?" in err


def test_a_score_that_no_metric_gives_is_told(load, train):
    with pytest.raises(KdsegError, match=r"unknown metric 'even/acuracy'; did you mean 'even/accuracy'\?"):
        train(RECIPE.replace("even/accuracy", "even/acuracy"))


def test_what_a_metric_reads_is_asked_of_the_dataset_where_it_judges(load):
    data = load(RECIPE).recipe.data
    asked = DatasetContext(split="val", seed=0, extras=("index",))
    assert data.val.build(asked)[3].extras == {"index": 3}
