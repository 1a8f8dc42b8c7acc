"""Operations, counted by hand."""

from __future__ import annotations

import pytest

from kdseg.engine.check.phases import check
from kdseg.engine.study.costs import costs_of, forward_flops, training_flops
from kdseg.recipe.load import load_recipe


def tiny_flops(width, classes=3):
    """Two for each product of the convolutions of 32x32 images; the decoder and the head at half the resolution."""
    return 2 * (32 * 32 * 9 * 3 * width + 16 * 16 * (9 * width * 2 * width + 2 * width * classes))


def checked(study, name, text=""):
    (study / "costed.toml").write_text(f'extends = "{name}.toml"\n{text}')
    return check(load_recipe(study / "costed.toml", ["train.steps=6"]))


def test_a_forward_pass_is_what_its_convolutions_take(study):
    assert forward_flops(checked(study, "together")) == {"student": tiny_flops(4), "teacher": tiny_flops(6)}


def test_a_learner_costs_three_passes_and_a_frozen_source_one(study):
    costs = costs_of(checked(study, "offline"))
    assert costs.steps == {"student": 6}
    assert costs.flops == 6 * 4 * (3 * tiny_flops(4) + tiny_flops(6))  # 6 steps, 4 images each
    assert costs.before == {"teacher.toml: teacher": 8}
    assert costs.flops_before == 8 * 4 * 3 * tiny_flops(6)


def test_one_that_learns_at_the_same_step_is_a_source_for_nothing(study):
    assert costs_of(checked(study, "together")).flops == 6 * 4 * 3 * (tiny_flops(4) + tiny_flops(6))


@pytest.mark.parametrize(
    ("sync", "turns", "passes"),
    [
        ("", '["teach", "study", "study"]', {"student": 4 * 3, "teacher": 2 * 3 + 4}),
        ("", '["both"]', {"student": 6 * 3, "teacher": 6 * 3}),
        ('sync = "sequential"\n', '["both"]', {"student": 6 * 3, "teacher": 6 * (3 + 1)}),
    ],
)
def test_turns_and_their_order_count(study, sync, turns, passes):
    names = ("both", "both") if "both" in turns else ("teach", "study")
    text = (
        f"[turns]\norder = {turns}\n{sync}"
        f'[terms.teacher-labels]\nturn = "{names[0]}"\n'
        f'[terms.labels]\nturn = "{names[1]}"\n[terms.mimic]\nturn = "{names[1]}"\n'
    )
    assert training_flops(checked(study, "together", text).plan, {"student": 1, "teacher": 100}) == (
        passes["student"] + 100 * passes["teacher"]
    )
