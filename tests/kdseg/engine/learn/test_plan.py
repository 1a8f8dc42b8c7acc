"""Which terms count at which step, against an unrolled definition."""

from __future__ import annotations

import math
from collections import Counter
from itertools import chain, cycle, islice, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdseg.engine.learn.plan import Plan
from kdseg.errors import KdsegError
from kdseg.recipe.curves import Curve, Points
from kdseg.recipe.schema import Learner, Recipe, Term, Turns
from kdseg.recipe.schema_train import Train

NAMES = ("anna", "berta", "carla")
TURNS = ("x", "y", "z")


def plan(terms, turns=None, *, steps_per_epoch=3, models=NAMES, **train):
    return Plan(
        recipe=Recipe(
            name="test",
            train=Train(**train),
            data=None,
            models={name: Learner(backbone=None) for name in models},
            turns=turns,
            terms=terms,
        ),
        steps_per_epoch=steps_per_epoch,
    )


def term(learner, turn=(), weight=1.0, source=()):
    return Term(turn=turn, learner=learner, source=source, loss=None, weight=weight)


def unrolled(turns, steps_per_epoch):
    """The turn of step 0, 1, 2 …, one after another."""
    if turns is None:
        return repeat(None)
    length = 1 if turns.unit == "step" else steps_per_epoch
    return chain.from_iterable(repeat(turn, length) for turn in cycle(turns.order))


weights = st.one_of(
    st.sampled_from([0.0, 0.5, 1.0]),
    st.builds(
        lambda share, low, high: Points(at=(share / 2, 0.5 + share / 2), value=(low, high)),
        st.floats(0, 1),
        st.sampled_from([0.0, 1.0]),
        st.sampled_from([0.0, 2.0]),
    ),
    st.builds(
        lambda curve, start, end: Curve(curve=curve, start=start, end=end),
        st.sampled_from(["linear", "cosine"]),
        st.sampled_from([0.0, 1.0]),
        st.sampled_from([0.0, 1.0]),
    ),
)
turn_lists = st.lists(st.sampled_from(TURNS), min_size=1, max_size=5).map(tuple)
turns = st.builds(
    lambda order, unit, sync: Turns(order=order, unit=unit, sync=sync),
    turn_lists,
    st.sampled_from(["step", "epoch"]),
    st.sampled_from(["simultaneous", "sequential"]),
)
terms = st.dictionaries(
    st.sampled_from("abcdef"),
    st.builds(term, st.sampled_from(NAMES), st.one_of(st.just(()), turn_lists), weights),
    min_size=1,
)


@given(terms=terms, turns=st.one_of(st.none(), turns), steps=st.integers(1, 40), per_epoch=st.integers(1, 7))
def test_a_term_counts_in_its_turns_while_its_weight_is_above_0(terms, turns, steps, per_epoch):
    if turns is None:
        terms = {name: term(spec.learner, (), spec.weight) for name, spec in terms.items()}
    made = plan(terms, turns, steps=steps, steps_per_epoch=per_epoch)
    learner_steps, term_steps, reached = Counter(), Counter(), set()
    for step, turn in enumerate(islice(unrolled(turns, per_epoch), steps)):
        wanted = {
            name: spec.weight_at(step / steps)
            for name, spec in terms.items()
            if (turn in spec.turn or not spec.turn) and spec.weight_at(step / steps) > 0
        }
        active = made.active(step, made.turn(step))
        assert {term.name: term.weight for term in active} == wanted
        assert [term.learner for term in active] == [terms[term.name].learner for term in active]
        assert made.turn(step) == turn
        assert made.epoch(step) == step // per_epoch
        learner_steps.update({terms[name].learner for name in wanted})
        term_steps.update(wanted.keys())
        if wanted:
            reached.add(turn)
    assert made.total_steps == steps
    assert made.learner_steps == learner_steps
    assert made.term_steps == term_steps
    order = () if turns is None else turns.order
    assert set(made.idle_turns) == set(order) - reached
    assert len(made.idle_turns) == len(set(made.idle_turns))


@given(terms=terms, turns=turns, order=st.permutations(NAMES))
def test_groups_hold_each_active_term_once_and_learners_in_the_order_of_the_models(terms, turns, order):
    made = plan(terms, turns, steps=6, models=order)
    active = made.active(0, made.turn(0))
    groups = made.groups(active)
    assert sorted(term.name for group in groups for term in group) == sorted(term.name for term in active)
    learners = [list(dict.fromkeys(term.learner for term in group)) for group in groups]
    expected = [name for name in order if name in {term.learner for term in active}]
    if turns.sync == "sequential":
        assert learners == [[name] for name in expected]
    else:
        assert learners == ([expected] if expected else [])
    for group in groups:  # a learner's terms keep the order of the recipe
        for name in expected:
            mine = [term.name for term in group if term.learner == name]
            assert mine == [label for label in terms if label in mine]


@given(
    turns=st.one_of(st.none(), turns),
    mine=turn_lists,
    wanted=st.integers(1, 50),
    per_epoch=st.integers(1, 7),
    weightless=st.booleans(),
)
def test_steps_of_ends_on_the_step_at_which_the_learner_has_so_many(turns, mine, wanted, per_epoch, weightless):
    """A term whose weight is 0 gives its learner no step, so its turns are not counted."""
    mine = mine if turns is not None else ()
    terms = {"a": term("anna", mine), "b": term("berta")}
    if weightless:
        terms["zero"] = term("anna", weight=0.0)
    made = plan(terms, turns, steps_of={"anna": wanted}, steps_per_epoch=per_epoch)
    if turns is not None and not set(mine) & set(turns.order):
        return  # she never learns: `check` tells it, whatever the length
    hers = (step for step, turn in enumerate(unrolled(turns, per_epoch)) if turn in mine or not mine)
    assert made.total_steps == next(islice(hers, wanted - 1, None)) + 1
    assert made.learner_steps["anna"] == wanted


def test_lengths():
    assert plan({"a": term("anna")}, epochs=4, steps_per_epoch=5).total_steps == 20
    assert plan({"a": term("anna")}, steps=7, steps_per_epoch=5).total_steps == 7
    study = Turns(order=("teach", "study", "study"))
    terms = {"a": term("anna", ("teach",)), "b": term("berta", ("study",))}
    assert plan(terms, study, steps_of={"berta": 600}).total_steps == 900
    assert plan(terms, study, steps_of={"berta": 599}).total_steps == 899
    assert plan(terms, study, steps_of={"anna": 300}).total_steps == 898


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (Curve(curve="linear", start=0.3, end=0.7), lambda p: 0.3 + 0.4 * p),
        (Curve(curve="cosine", start=0.7, end=0.3), lambda p: 0.7 - 0.4 * (1 - math.cos(math.pi * p)) / 2),
        (Points(at=(0, 0.1), value=(0, 1)), lambda p: min(p / 0.1, 1)),
        (Points(at=(0.5, 0.75), value=(2, 1)), lambda p: 2 if p < 0.5 else max(1, 2 - (p - 0.5) / 0.25)),
        (0.25, lambda _p: 0.25),
    ],
)
def test_weights_run_over_the_optimizer_steps_of_the_run(curve, expected):
    made = plan({"a": term("anna", weight=curve)}, steps=40)
    for step in range(40):
        found = {term.name: term.weight for term in made.active(step, made.turn(step))}
        assert found.get("a", 0.0) == pytest.approx(expected(step / 40), abs=1e-12)


def test_steps_of_that_a_curve_leaves_unmet_are_told(train):
    """Whether a curve is 0 depends on the length, so no length is guessed."""
    recipe = """
[models.student]
backbone = "tiny"
[terms.labels]
learner = "student"
loss = "cross_entropy"
weight = { at = [0.5, 1.0], value = [0, 1] }
"""
    with pytest.raises(KdsegError, match=r"train\.steps_of: 'student' takes 9 in the run's 20 steps, not 20"):
        train(recipe, "train.steps_of.student=20")
