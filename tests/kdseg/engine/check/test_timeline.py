"""The timeline says of every step what the step itself does."""

from __future__ import annotations

import pytest

from kdseg.engine.check.phases import check
from kdseg.engine.check.timeline import timeline

RECIPE = """
[models.teacher]
backbone = "tiny"
[models.student]
backbone = { use = "tiny", branch = true }
[turns]
order = ["teach", "study", "study"]
[terms.teacher-labels]
turn = "teach"
learner = "teacher"
loss = "cross_entropy"
weight = { at = [0.5, 0.6], value = [1, 0] }
[terms.labels]
turn = "study"
learner = "student"
loss = "cross_entropy"
[terms.mimic]
turn = "study"
learner = "student.branch"
source = ["teacher", "student"]
combine = "logits"
loss = "pixel_kl"
weight = { curve = "linear", from = 0, to = 1 }
"""


@pytest.mark.parametrize("unit", ["step", "epoch"])
def test_it_agrees_with_every_step(load, unit):
    plan = check(load(RECIPE, "train.steps=60", f"turns.unit={unit}")).plan
    for stretch in timeline(plan):
        steps = range(stretch["first"] - 1, stretch["last"])
        for turn in stretch["turns"]:
            wanted = {term["name"] for term in turn["terms"]}
            for step in steps:
                if plan.turn(step) == turn["turn"]:
                    assert {term.name for term in plan.active(step, turn["turn"])} == wanted
        assert sum(turn["steps"] for turn in stretch["turns"]) == len(steps)
    assert [stretch["first"] for stretch in timeline(plan)][1:] == [one["last"] + 1 for one in timeline(plan)][:-1]


def test_it_tells_who_idles(load):
    *_, last = timeline(check(load(RECIPE, "train.steps=60")).plan)
    assert (last["first"], last["last"], last["idle"]) == (37, 60, ["teacher"])
    teach, study, again = last["turns"]
    assert (teach["turn"], teach["steps"], teach["terms"]) == ("teach", 8, [])
    assert study == again
    mimic = study["terms"][1]
    assert {key: mimic[key] for key in ("learner", "sources", "loss", "participant")} == {
        "learner": "student.branch",
        "sources": ["teacher", "student"],
        "loss": "pixel_kl",
        "participant": "student",
    }
    assert mimic["weight"] == pytest.approx([36 / 60, 59 / 60])


def test_under_a_gate_each_turn_may_have_all_steps(load):
    recipe = RECIPE.replace("[turns]", '[turns]\ngate = { use = "plateau", term = "teacher-labels" }')
    first, *_ = timeline(check(load(recipe, "train.steps=60", "terms.teacher-labels.weight=1")).plan)
    assert [(turn["turn"], turn["steps"]) for turn in first["turns"]] == [("teach", 1), ("study", 1)]
