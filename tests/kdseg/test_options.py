from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import pytest
from attrs import NOTHING, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from kdseg.components import Backbone, Loss
from kdseg.errors import KdsegError
from kdseg.options import component_options, conforms, help_remarks, is_supported, option_breaches, type_text

if TYPE_CHECKING:
    from collections.abc import Sequence  # noqa: TC004 (the fault that the test wants)


@frozen(kw_only=True)
class Inner(Loss):
    """A loss for use as a default."""

    name: ClassVar[str] = "inner"
    role: ClassVar[str] = "distillation"


@frozen(kw_only=True)
class Good(Backbone):
    """All that an option may be."""

    name: ClassVar[str] = "good"
    depth: Annotated[int, "how deep"]
    rate: Annotated[float, "a rate,\n    in 1/s"] = 1
    root: Annotated[Path | None, "a folder"] = None
    mode: Annotated[Literal["mean", "sum"], "how to reduce"] = "mean"
    sizes: Annotated[tuple[int, ...], "sizes"] = (1, 2)
    table: Annotated[dict[str, list[float]], "a table"] = field(factory=lambda: {"a": [0.5]})
    inner: Annotated[Loss, "a loss"] = Inner()
    cache: Any = field(default=None, init=False)


@frozen(kw_only=True)
class Child(Good):
    """Inherits options from another class."""

    name: ClassVar[str] = "child"
    extra: Annotated[bool, "one more"] = False


def test_options_are_fields_in_order_with_bare_types_help_and_defaults():
    options = {option.name: option for option in component_options(Good)}
    assert list(options) == ["depth", "rate", "root", "mode", "sizes", "table", "inner"]
    assert options["depth"].required
    assert options["depth"].default is NOTHING
    assert options["depth"].type is int
    assert options["rate"].help == "a rate, in 1/s"
    assert options["rate"].default == 1
    assert options["root"].type == Path | None
    assert not options["root"].required
    assert options["table"].default == {"a": [0.5]}
    assert options["inner"].type is Loss


@frozen(kw_only=True)
class Bare(Backbone):
    """Options that nobody explains."""

    name: ClassVar[str] = "bare"
    width: int = 8
    sizes: tuple[int, ...]
    empty: Annotated[int | None, " "] = None


def test_an_option_needs_no_help_and_its_plugin_is_reminded():
    assert list(option_breaches(Bare)) == []
    assert [(option.name, option.type, option.help) for option in component_options(Bare)] == [
        ("width", int, ""),
        ("sizes", tuple[int, ...], ""),
        ("empty", int | None, ""),
    ]
    assert next(help_remarks(Bare)) == "option 'width' has no help; write `width: Annotated[int, \"its help\"]`"
    assert len(list(help_remarks(Bare))) == 3
    assert list(help_remarks(Good)) == []


def test_inherited_options_keep_their_types():
    options = component_options(Child)
    assert [option.name for option in options][-1] == "extra"
    assert options[0].type is int


@frozen(kw_only=True)
class Bad(Backbone):
    """Each option breaks one rule."""

    name: ClassVar[str] = "bad"
    use: Annotated[int, "reserved"] = 1
    sequence: Annotated[Sequence[int], "known to type checkers only"] = ()
    union: Annotated[int | str, "two types"] = 1
    nested_none: Annotated[list[int | None], "TOML has no null"] = field(factory=list)
    bare_list: Annotated[list, "of what"] = field(factory=list)
    concrete: Annotated[Inner, "not a kind, but one of its classes"] = Inner()
    by_number: Annotated[dict[int, str], "TOML keys are words"] = field(factory=dict)
    text_default: Annotated[int, "a number"] = "1"
    true_default: Annotated[int, "True is no number"] = True
    none_default: Annotated[int, "None is no int"] = None
    path_default: Annotated[Path, "a string is no path"] = "data"
    list_default: Annotated[tuple[int, int], "a list is no tuple"] = field(factory=lambda: [1, 2])
    short_default: Annotated[tuple[int, int], "one of two"] = (1,)
    choice: Annotated[Literal["a", "b"], "a choice"] = "c"
    computed: Annotated[int, "from another"] = field()
    failing: Annotated[int, "its default fails"] = field(factory=lambda: 1 // 0)
    _private: Annotated[int, "underscore"] = 1

    @computed.default
    def _computed(self):
        return self.use


def test_each_breach_is_told_by_option_with_the_mend():
    told = dict(breach.split(": ", 1) for breach in option_breaches(Bad))
    mends = {
        "use": "give the option another name",
        "sequence": "import what it names at the top of the module",
        "union": "no type of an option",
        "nested_none": "no type of an option",
        "bare_list": "no type of an option",
        "concrete": "no type of an option",
        "by_number": "no type of an option",
        "text_default": "default '1' is no int",
        "true_default": "default True is no int",
        "none_default": "default None is no int",
        "path_default": "default 'data' is no Path",
        "list_default": "default [1, 2] is no tuple[int, int]",
        "short_default": "default (1,) is no tuple[int, int]",
        "choice": 'default \'c\' is no "a" | "b"',
        "computed": "compute in build",
        "failing": "ZeroDivisionError",
        "_private": "call it 'private'",
    }
    assert {name.removeprefix("option ").strip("'") for name in told} == set(mends)
    for name, mend in mends.items():
        assert mend in told[f"option {name!r}"], told[f"option {name!r}"]
    assert not any("\n" in breach for breach in told.values())


def test_options_of_a_malformed_class_raise_the_first_breach():
    with pytest.raises(KdsegError, match="option 'use'"):
        component_options(Bad)


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (bool, "bool"),
        (Path | None, "Path | None"),
        (Literal["mean", 2, True], '"mean" | 2 | true'),
        (tuple[int, ...], "tuple[int, ...]"),
        (dict[str, list[float]], "dict[str, list[float]]"),
        (list[Loss], "list[loss]"),
    ],
)
def test_types_read_as_people_write_them(hint, text):
    assert is_supported(hint)
    assert type_text(hint) == text


_VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=6,
)


@given(_VALUES)
def test_a_value_conforms_to_the_type_that_its_json_shows(value):
    """JSON tells booleans, integers, floats, strings, lists and tables apart by their first characters."""
    text = json.dumps(value)
    assert conforms(value, bool) == (text in ("true", "false"))
    assert conforms(value, str) == text.startswith('"')
    is_number = text[0] in "-0123456789I"
    assert conforms(value, float) == is_number
    assert conforms(value, int) == (is_number and text.lstrip("-").isdigit())
    assert conforms(value, list[int]) == (text[0] == "[" and all(conforms(item, int) for item in value))
    assert conforms(value, dict[str, str]) == (text[0] == "{" and all(conforms(item, str) for item in value.values()))
    assert conforms(value, int | None) == conforms(value, int)


def test_none_conforms_only_where_it_is_allowed():
    assert conforms(None, int | None)
    assert not conforms(None, int)
