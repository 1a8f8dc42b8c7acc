from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
from attrs import fields, has
from hypothesis import given
from hypothesis import strategies as st

from kdseg.recipe import curves, schema, schema_train
from kdseg.recipe.curves import Curve, Points
from kdseg.recipe.schema import Output, Recipe, Shadow, Term
from kdseg.recipe.schema_keys import keys_of
from kdseg.recipe.schema_train import Train

SHARES = st.floats(0, 1)
WEIGHTS = st.floats(0, 1e3)
TABLES = [
    cls
    for module in (schema, schema_train, curves)
    for _, cls in inspect.getmembers(module, inspect.isclass)
    if has(cls) and cls.__module__ == module.__name__ and cls is not schema_train.ByName
]


def weight_at(weight: float | Curve | Points, progress: float) -> float:
    return Term(learner="student", loss=None, weight=weight).weight_at(progress)


def test_a_number_is_the_weight_throughout():
    assert [weight_at(0.25, p) for p in (0.0, 0.5, 1.0)] == [0.25, 0.25, 0.25]


def test_a_weight_is_one_unless_given():
    assert Term(learner="student", loss=None).weight_at(0.3) == 1.0


@given(WEIGHTS, WEIGHTS, SHARES)
def test_linear_curve_follows_its_formula(start, end, p):
    assert weight_at(Curve(curve="linear", start=start, end=end), p) == pytest.approx(start + (end - start) * p)


@given(WEIGHTS, WEIGHTS, SHARES)
def test_cosine_curve_follows_its_formula(start, end, p):
    expected = start + (end - start) * (1 - math.cos(math.pi * p)) / 2
    assert weight_at(Curve(curve="cosine", start=start, end=end), p) == pytest.approx(expected)


@pytest.mark.parametrize("curve", ["linear", "cosine"])
def test_curves_meet_their_ends_exactly_and_are_held_there(curve):
    weight = Curve(curve=curve, start=0.7, end=0.1)
    assert [weight_at(weight, p) for p in (-0.5, 0.0, 1.0, 1.5)] == [0.7, 0.7, 0.1, 0.1]
    assert weight_at(weight, 0.5) == pytest.approx(0.4)


@given(st.dictionaries(SHARES, WEIGHTS, min_size=1, max_size=6), st.floats(-0.5, 1.5))
def test_points_are_linear_between_and_held_outside(points, p):
    at, value = zip(*sorted(points.items()), strict=True)
    expected = float(np.interp(p, at, value))
    assert weight_at(Points(at=at, value=value), p) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        ((), ()),
        ((0.0, 0.0), (1.0, 2.0)),
        ((0.5, 0.2), (1.0, 2.0)),
        ((0.0, 1.5), (1.0, 2.0)),
        ((0.0,), (1.0, 2.0)),
        ((0.0,), (-1.0,)),
    ],
)
def test_points_that_are_none_are_refused(at, value):
    with pytest.raises(ValueError):
        Points(at=at, value=value)


@pytest.mark.parametrize("lengths", [{}, {"epochs": 1, "steps": 1}, {"steps": 1, "steps_of": {"student": 1}}])
def test_a_length_is_given_in_exactly_one_way(lengths):
    with pytest.raises(ValueError, match="exactly one of epochs, steps, steps_of"):
        Train(**lengths)


@pytest.mark.parametrize(
    ("batch", "parts", "fits"), [(8, 4, True), (8, 8, True), (8, 3, False), (8, 0, False), (8, 16, False)]
)
def test_micro_batches_divide_the_batch(batch, parts, fits):
    if fits:
        assert Train(epochs=1, batch_size=batch, micro_batches=parts).micro_batches == parts
    else:
        with pytest.raises(ValueError):
            Train(epochs=1, batch_size=batch, micro_batches=parts)


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_a_shadow_neither_copies_nor_stands_still(decay):
    with pytest.raises(ValueError):
        Shadow(shadow_of="student", decay=decay)


def test_runs_go_below_the_working_folder_unless_told_otherwise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Output().folder == tmp_path / "runs"


@pytest.mark.parametrize("cls", TABLES, ids=lambda cls: cls.__name__)
def test_every_key_of_every_table_has_a_help(cls):
    keys = keys_of(cls)
    assert [option.name for option in keys.values()] == [field.name for field in fields(cls)]
    assert all(option.help and option.help == option.help.strip() for option in keys.values())


def test_keys_are_those_of_the_file():
    assert list(keys_of(Curve)) == ["curve", "from", "to"]
    assert {key for key, option in keys_of(Recipe).items() if option.required} == {
        "name", "train", "data", "models", "terms",
    }  # fmt: skip
