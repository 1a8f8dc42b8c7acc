from __future__ import annotations

import math
import subprocess
import sys
import types
import warnings
from typing import TYPE_CHECKING, Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdseg.by_name import construct, lookup
from kdseg.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Recorder:
    """Takes one parameter of each form and keeps what it got."""

    def __init__(
        self,
        given: object,
        rate: float = 0.1,
        count: int = 3,
        flag: bool = False,
        mode: Literal["fast", "exact"] = "fast",
        pair: tuple[float, float] | float = (0.0, 1.0),
        many: Sequence[int] = (),
        table: Mapping[str, float] | None = None,
        unsaid=0.5,
        bare=None,
    ) -> None:
        self.got = {key: value for key, value in locals().items() if key != "self"}


class Warns:
    def __init__(self, p: float = 0.5) -> None:
        warnings.warn("p is not valid here", stacklevel=2)


class Refuses:
    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        if low > high:
            raise ValueError("low and high are in the wrong order")
        if low < 0:
            raise ValueError("low must be 0 or more")


def problems(cls: Any, options: Mapping[str, Any], *given: Any, **named: Any) -> tuple[tuple[str, str], ...]:
    with pytest.raises(OptionError) as caught:
        construct(cls, options, *given, **named)
    return caught.value.problems


def only(cls: Any, options: Mapping[str, Any], *given: Any) -> tuple[str, str]:
    (problem,) = problems(cls, options, *given)
    return problem


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rate", 1),
        ("rate", 0.5),
        ("count", 7),
        ("flag", True),
        ("mode", "exact"),
        ("pair", 0.5),
        ("pair", [0, 2.0]),
        ("many", [1, 2, 3]),
        ("table", {"x": 1.0}),
        ("unsaid", 2),
        ("bare", "anything"),
    ],
)
def test_fitting_values_arrive_with_tuples_for_lists(key, value):
    got = construct(Recorder, {key: value}, "engine").got
    assert got["given"] == "engine"
    assert got[key] == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rate", True),
        ("rate", "0.5"),
        ("rate", [0.5]),
        ("count", True),
        ("count", 3.0),
        ("flag", 1),
        ("flag", "false"),
        ("mode", "quick"),
        ("mode", True),
        ("pair", [0.0, 1.0, 2.0]),
        ("pair", [0.0, True]),
        ("many", 3),
        ("many", [1, 2.5]),
        ("table", [1.0]),
        ("table", {"x": "1"}),
        ("unsaid", False),
        ("unsaid", "much"),
    ],
)
def test_nothing_is_converted_silently(key, value):
    where, message = only(Recorder, {key: value}, "engine")
    assert where == key
    assert repr(value) in message


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, [0.0, math.nan]])
def test_numbers_must_be_finite(value):
    where, message = only(Recorder, {"pair": value}, "engine")
    assert (where, "finite" in message) == ("pair", True)


def test_all_wrong_keys_are_told_at_once_with_the_nearest_name():
    found = dict(problems(Recorder, {"rat": 1.0, "given": 1, "count": "x", "zzzz": 0}, "engine"))
    assert found["rat"] == "unknown key; did you mean 'rate'?"
    assert found["given"] == "is filled in by kdseg; leave it out"
    assert "rate, count" in found["zzzz"]
    assert "given" not in found["zzzz"]
    assert set(found) == {"rat", "given", "count", "zzzz"}


def test_keys_filled_in_by_name_are_refused():
    assert dict(problems(Recorder, {"count": 4}, "engine", count=3)) == {"count": "is filled in by kdseg; leave it out"}


def test_missing_options_are_named():
    assert only(torch.optim.lr_scheduler.StepLR, {}, "optimizer") == ("", "StepLR needs 'step_size'")


def test_warnings_are_errors_at_the_key_they_name():
    assert only(Warns, {"p": 0.1}) == ("p", "p is not valid here")


def test_refusals_are_placed_at_the_one_key_they_name():
    assert only(Refuses, {"low": -1.0}) == ("low", "low must be 0 or more")
    assert only(Refuses, {"low": 2.0, "high": 1.0}) == ("", "low and high are in the wrong order")


def test_functions_serve_as_well_as_classes():
    def poly(optimizer: object, steps: int, power: float = 0.9) -> tuple[object, int, float]:
        return optimizer, steps, power

    assert construct(poly, {"power": 2}, "optimizer", 10) == ("optimizer", 10, 2)
    assert only(poly, {"powr": 2}, "optimizer", 10)[0] == "powr"


def test_errors_of_the_program_itself_pass_through():
    def broken() -> None:
        raise RuntimeError("no device")

    with pytest.raises(RuntimeError, match="no device"):
        construct(broken, {})


def test_problems_can_be_placed_below_a_key():
    error = OptionError([("p", "wrong"), ("", "needs 'x'")]).below("data.augment.1")
    assert error.problems == (("data.augment.1.p", "wrong"), ("data.augment.1", "needs 'x'"))
    assert str(error) == "data.augment.1.p: wrong\ndata.augment.1: needs 'x'"


PARAMETERS = [torch.nn.Parameter(torch.zeros(1))]


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"lr": True}, "lr"),
        ({"lr": "1e-3"}, "lr"),
        ({"betas": 0.9}, "betas"),
        ({"betas": [0.9, 0.99, 0.999]}, "betas"),
        ({"weightdecay": 0.1}, "weightdecay"),
        ({"params": []}, "params"),
        ({"lr": -1.0}, ""),
    ],
)
def test_torch_optimizers_are_checked_against_their_signature(options, key):
    assert only(torch.optim.AdamW, options, PARAMETERS)[0] == key


def test_torch_optimizers_are_made():
    optimizer = construct(torch.optim.AdamW, {"lr": 1, "betas": [0.8, 0.9], "foreach": False}, PARAMETERS)
    assert optimizer.defaults["betas"] == (0.8, 0.9)
    assert optimizer.defaults["lr"] == 1


def test_every_annotation_of_torch_is_understood():
    """Each default must be accepted by its own annotation, else a recipe could not state it."""
    from kdseg.by_name import _accepts, _signature

    for namespace, base in (
        (torch.optim, torch.optim.Optimizer),
        (torch.optim.lr_scheduler, torch.optim.lr_scheduler.LRScheduler),
    ):
        for cls in vars(namespace).values():
            if not (isinstance(cls, type) and issubclass(cls, base)):
                continue
            for parameter in _signature(cls).parameters.values():
                if parameter.default is not parameter.empty and parameter.default is not None:
                    assert _accepts(parameter.annotation, parameter.default), (cls, parameter)


NAMESPACE = types.SimpleNamespace(
    __name__="shapes", Base=Refuses, Round=type("Round", (Refuses,), {}), _Hidden=type("_Hidden", (Refuses,), {}), pi=3
)


def test_lookup_finds_a_class():
    assert lookup(torch.optim, "SGD", torch.optim.Optimizer, {}) is torch.optim.SGD


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("round", "did you mean 'Round'?"),
        ("_Hidden", "shapes has no Refuses called '_Hidden'"),
        ("pi", "shapes has no Refuses called 'pi'"),
        ("Base", "cannot be used: it is a base class"),
        ("polly", "did you mean 'poly'?"),
    ],
)
def test_lookup_tells_what_is_wrong(name, says):
    with pytest.raises(OptionError) as caught:
        lookup(NAMESPACE, name, Refuses, {"Base": "it is a base class"}, extra=["poly"])
    ((key, message),) = caught.value.problems
    assert key == "use"
    assert says in message


plain = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=2),
    max_leaves=4,
)
keys = st.sampled_from(
    ["rate", "count", "flag", "mode", "pair", "many", "table", "unsaid", "bare", "given", "rates", ""]
)


@given(st.dictionaries(keys, plain, max_size=4))
def test_any_table_is_taken_as_it_is_or_told(options):
    error, got = None, {}
    try:
        got = construct(Recorder, options, "engine").got
    except OptionError as raised:
        error = raised
    if error is None:
        for key, value in options.items():
            assert type(got[key]) is (tuple if isinstance(value, list) else type(value))
    else:
        assert error.problems
        assert {key for key, _ in error.problems} <= set(options)
        assert all("\n" not in message for _, message in error.problems)


def test_it_loads_no_torch():
    code = "import kdseg.by_name, sys; assert not {'torch', 'albumentations', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
