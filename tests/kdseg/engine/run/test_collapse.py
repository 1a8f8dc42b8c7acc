"""A learner that comes to nothing is named, and ends its run with its last good checkpoint."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from kdseg.data.samples import ClassTable
from kdseg.engine.run.collapse import refuse_collapse
from kdseg.engine.run.start import run_recipe
from kdseg.errors import KdsegError

RECIPE = """
[models.student]
backbone = "tiny"
optimizer = { use = "AdamW", lr = 0.1 }
[terms.labels]
learner = "student"
loss = { use = "cross_entropy", weights = [1.0, 1e-6, 1e-6] }
[evaluate]
every = 50
unit = "step"
[checkpoint]
every = 50
unit = "step"
"""


def test_one_class_everywhere_ends_the_run_with_the_checkpoint_before(load, folder, lines):
    with pytest.raises(
        KdsegError, match=r"step 150: student names 100.0 % of the pixels 'red', for the second time"
    ) as e:
        run_recipe(load(RECIPE, "train.steps=300"))
    run = (folder / "runs" / "recipe" / "latest").resolve()
    assert "Its last checkpoint (step-00000100)" in str(e.value)
    assert sorted(path.name for path in (run / "checkpoints").glob("step-*")) == ["step-00000050", "step-00000100"]
    assert [line["step"] for line in lines(run, "evaluation")] == [50, 100, 150]
    assert not (run / "summary.json").exists()


def test_it_goes_on_where_it_is_told_to(train):
    assert train(RECIPE, "train.steps=200", "evaluate.stop_on_collapse=false").summary["steps"] == 200


def made(predicted, *, steps=500, planned=1000, value=0.5, best=0.5, before=0):
    """A run that just evaluated: `predicted` pixels of each class, of 1000 labelled evenly."""
    matrix = torch.tensor([predicted, predicted], dtype=torch.int64) // 2
    run = SimpleNamespace(
        recipe=SimpleNamespace(evaluate=SimpleNamespace(stop_on_collapse=True, metric="miou")),
        stepper=SimpleNamespace(learners={"student": SimpleNamespace(steps=steps)}),
        plan=SimpleNamespace(learner_steps={"student": planned}),
        classes=ClassTable(names=("road", "sky"), colours=((0, 0, 0), (1, 1, 1))),
        scores={"student": {"miou": value}},
        best={"student": {"value": best, "step": 7}},
        one_class={"student": before},
        step=steps,
        folder=SimpleNamespace(),
    )
    return run, {"student": SimpleNamespace(matrix=matrix)}


@pytest.mark.parametrize(
    ("facts", "then"),
    [
        ({"predicted": [1000, 0]}, 1),
        ({"predicted": [990, 10], "before": 1}, 0),
        ({"predicted": [1000, 0], "steps": 199, "before": 0}, 0),
        ({"predicted": [500, 500], "value": 0.26, "best": 0.5}, 0),
        ({"predicted": [500, 500], "value": 0.1, "steps": 99, "planned": 100}, 0),
    ],
)
def test_what_may_mend_itself_does_not_end_it(facts, then):
    run, judgements = made(**facts)
    refuse_collapse(run, judgements)
    assert run.one_class["student"] == then


def test_half_of_the_best_score_is_too_little(tmp_path):
    run, judgements = made([500, 500], value=0.24, best=0.5)
    run.folder = tmp_path
    with pytest.raises(KdsegError, match=r"step 500: miou of student fell to 0.2400, under half of 0.5000 at step 7"):
        refuse_collapse(run, judgements)


def test_rare_classes_that_are_found_are_no_collapse():
    """A crack, on 1.1 % of the pixels: found for the most part, it leaves the road with 99.05 %."""
    run, judgements = made([1000, 0], before=1)
    judgements["student"].matrix = torch.tensor([[98_899, 1], [150, 950]])
    refuse_collapse(run, judgements)
    assert run.one_class["student"] == 0


def test_a_class_that_the_labels_name_as_often_is_no_collapse():
    run, judgements = made([1000, 0], before=1)
    judgements["student"].matrix = torch.tensor([[999, 0], [1, 0]])
    refuse_collapse(run, judgements)
    assert run.one_class["student"] == 0
