from __future__ import annotations

import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdseg.errors import KdsegError
from kdseg.recipe.keys import existing, join_key, key_lines, key_text, split_key, unfinished_line
from kdseg.recipe.save import dumps

TEXT = '''\
# a comment
name = "x"   # [not.a.table]
text = """
[not.a.table]
a = 1
"""
raw = \'\'\'
b = ["
\'\'\'
list = [
    1,  # ] no end
    "]",

    [2,
     3],
    { a = 1, b = [
        4, 5] },
    """
    long""",
]
dotted.key."quo.ted" = 1
[table]
inline = { a = { b = 1 } }
[table.below]
c = 1
[[many]]
d = 1
[[many]]
e = 2
[[many.more]]
f = [{ g = 1 },
     { g = 2 }]
'''

LINES = {
    "name": 2,
    "text": 3,
    "raw": 7,
    "list": 10,
    "list.0": 11,
    "list.1": 12,
    "list.2": 14,
    "list.2.0": 14,
    "list.2.1": 15,
    "list.3": 16,
    "list.3.a": 16,
    "list.3.b": 16,
    "list.3.b.0": 17,
    "list.3.b.1": 17,
    "list.4": 18,
    "dotted": 21,
    "dotted.key": 21,
    'dotted.key."quo.ted"': 21,
    "table": 22,
    "table.inline": 23,
    "table.inline.a": 23,
    "table.inline.a.b": 23,
    "table.below": 24,
    "table.below.c": 25,
    "many": 26,
    "many.0": 26,
    "many.0.d": 27,
    "many.1": 28,
    "many.1.e": 29,
    "many.1.more": 30,
    "many.1.more.0": 30,
    "many.1.more.0.f": 31,
    "many.1.more.0.f.0": 31,
    "many.1.more.0.f.0.g": 31,
    "many.1.more.0.f.1": 32,
    "many.1.more.0.f.1.g": 32,
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_key_and_item_is_found_on_its_line(newline):
    found = key_lines(TEXT.replace("\n", newline))
    assert {join_key(path): line for path, line in found.items()} == LINES


SCALARS = st.one_of(st.integers(), st.booleans(), st.text(max_size=5))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(max_size=4), st.lists(VALUES, max_size=4), max_size=4), st.data())
def test_lines_are_those_on_which_a_writer_put_the_keys(tables, data):
    lines, expected = [], {}
    for key, items in tables.items():
        lines += [""] * data.draw(st.integers(0, 2))
        lines.append(f"{key_text(key)} = [")
        expected[key,] = len(lines)
        for number, item in enumerate(items):
            lines += ["  # ]"] * data.draw(st.integers(0, 1))
            lines.append(dumps({"x": [item]}).removeprefix("x = [").removesuffix("]\n") + ",")
            expected[key, str(number)] = len(lines)
        lines.append("]")
    found = key_lines("\n".join(lines))
    assert {path: line for path, line in found.items() if len(path) < 3} == expected


@given(st.lists(st.text(), min_size=1, max_size=4).map(tuple))
def test_a_key_is_read_as_it_is_written(path):
    assert split_key(join_key(path)) == path


@pytest.mark.parametrize("key", ["", "a b", "a..b", ".a", "a.", "a=1", "a\nb", "[a]", "a #"])
def test_what_is_no_key_is_refused(key):
    with pytest.raises(KdsegError, match="no dotted key"):
        split_key(key)


@pytest.mark.parametrize(
    ("path", "there"),
    [("a.1.b", "a.1.b"), ("a.1.c", "a.1"), ("a.2", "a"), ("a.x", "a"), ("a.0.x", "a.0"), ("x", ""), ("a.-1", "a")],
)
def test_the_longest_beginning_that_exists(path, there):
    document = {"a": [3, {"b": 4}]}
    assert existing(document, split_key(path)) == (split_key(there) if there else ())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nb = [\n1,\n\nc = 2\n", 2),
        ("a = 1\n\nb =\n", 3),
        ("[a\n", 1),
        ('a = 1\nb = """\nx\n', 2),
        ("a = 1\na = 2\nc = 3", 2),
    ],
)
def test_the_statement_that_breaks_a_text_is_found(text, line):
    with pytest.raises(tomllib.TOMLDecodeError) as caught:
        tomllib.loads(text)
    place = re.search(r"line (\d+)", str(caught.value))
    assert unfinished_line(text, int(place[1]) if place else text.count("\n")) == line
