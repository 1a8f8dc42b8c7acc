from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.recipe.save import dumps

KEYS = st.text(max_size=6) | st.sampled_from(["", "a.b", "use", '"', "'", "#", "\n", "[x]", "a\n", "é", "\x7f", "1"])
SCALARS = st.one_of(
    st.text(),
    st.text(st.characters(max_codepoint=0xFF), max_size=8),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.sampled_from(
        [-0.0, 0.0, 1e300, 1e-300, 1e16, 5e-324, 1.0, 1, True, "\ud7ff\ue000\U0001f600", "\x00\x1f\x7f\x85\u2028"]
    ),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


def exact(document: object) -> str:
    """Tell 1, 1.0 and true apart, and 0.0 and -0.0, as == does not."""
    return json.dumps(document, sort_keys=True)


@settings(max_examples=300)
@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_what_is_written_is_read_back(document):
    assert exact(tomllib.loads(dumps(document))) == exact(document)


@given(VALUES)
def test_one_table_may_stand_in_several_places(value):
    document = {"a": {"b": value, "c": value}, "d": value, "e": {"b": [value]}}
    assert exact(tomllib.loads(dumps(document))) == exact(document)


@given(st.lists(st.tuples(KEYS, st.dictionaries(KEYS, VALUES, max_size=3)), unique_by=lambda pair: pair[0], max_size=5))
def test_tables_of_the_second_level_keep_their_order(pairs):
    """The order of participants and terms is part of a recipe."""
    read = tomllib.loads(dumps({"models": dict(pairs)}))
    assert list(read["models"]) == [key for key, _ in pairs]


def test_lists_and_deep_tables_stand_on_one_line():
    document = {"a": {"b": {"c": [{"d": 1}, {}, []], "e": {"f": "g"}}}}
    assert dumps(document) == '[a.b]\nc = [{ d = 1 }, {}, []]\ne = { f = "g" }\n'


@pytest.mark.parametrize("value", [Path("x"), None, (1, 2), {1, 2}, {1: 2}, 1j, b"x", [None], {"a": Path("x")}])
def test_what_is_no_plain_data_is_refused(value):
    with pytest.raises(TypeError):
        dumps({"key": value})


def test_text_that_no_file_can_hold_is_refused():
    with pytest.raises(ValueError):
        dumps({"key": "\ud800"}).encode()
