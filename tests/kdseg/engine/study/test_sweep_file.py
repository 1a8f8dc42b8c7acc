"""A sweep's file: strictly read, each problem with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdseg.engine.study.sweep_file import Range, read_sweep
from kdseg.errors import KdsegError
from kdseg.recipe.load import load_recipe
from kdseg.recipe.save import dumps


def test_what_it_says_is_read(sweep):
    file = sweep(more='[sweep.grid]\n"terms.labels.weight" = [1.0, 0.5]\ntrain.batch_size = { low = 2, high = 4 }\n')
    assert (file.name, file.baseline, file.sweep.seeds) == ("study", "alone", (3, 5))
    first, second = file.axes("alone")
    assert (first.key, first.values) == (("terms", "labels", "weight"), [1.0, 0.5])
    assert (second.key, second.values) == (("train", "batch_size"), Range(low=2, high=4))
    (setting,) = file.settings("sweep", "set")
    assert (setting.set_key, setting.set_value, setting.place) == (("train", "steps"), 4, "sweep.toml:5")


def test_seeds_may_be_how_many(sweep):
    assert sweep(("[3, 5]", "3")).sweep.seeds == (0, 1, 2)


def test_an_arm_may_have_a_grid_of_its_own(sweep):
    file = sweep(more='grid = {}\n[sweep.grid]\n"terms.labels.weight" = [1.0]\n')
    assert [len(file.axes(arm)) for arm in ("alone", "offline")] == [1, 0]


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ("seeds", "sedes", "sweep.toml:4: sweep.sedes: unknown key; did you mean 'seeds'?"),
        ("[3, 5]", "[3, 3]", "sweep.toml:4: sweep.seeds: 3 is there twice"),
        ("[3, 5]", "0", "sweep.toml:4: sweep.seeds: expected a list of seeds, or how many, found the integer 0"),
        ("[3, 5]", "true", "sweep.toml:4: sweep.seeds: expected a list of seeds, or how many, found true"),
        ("[3, 5]", "[]", "sweep.toml:4: sweep.seeds: must not be empty"),
        ("[3, 5]", "[3, -5]", "sweep.toml:4: sweep.seeds: must be >= 0: -5"),
        ("[3, 5]", '[3]\nbaseline = "alnoe"', "sweep.toml:5: sweep.baseline: no arm is called 'alnoe'; did you mean"),
        ("[3, 5]", '[3]\nwhich = "first"', "sweep.toml:5: sweep.which: expected 'last' or 'best', found the string"),
        ("steps = 4", "steps = 4, seed = 1", "sweep.toml:5: sweep.set.seed: the sweep gives each run its seed"),
        ("set = {", 'set = { "a..b" = 1,', "sweep.toml:5: sweep.set.\"a..b\": 'a..b' is no dotted key"),
        ("arms.alone", "arms.Alone", "sweep.toml:6: sweep.arms: 'Alone' is no name: a lower-case word"),
        ('"alone.toml"', "1", "sweep.toml:7: sweep.arms.alone.recipe: expected a string, found the integer 1"),
        (
            '"alone.toml"',
            '"alone.toml"\nste = {}',
            "sweep.toml:8: sweep.arms.alone.ste: unknown key; did you mean 'set'?",
        ),
        (
            '"alone.toml"',
            '"alone.toml"\ngrid = { a.b = 1 }',
            "sweep.toml:8: sweep.arms.alone.grid.a.b: expected a list",
        ),
        ('"alone.toml"', '"alone.toml"\ngrid = { a.b = [1, 1] }', "grid.a.b: a value is there twice"),
        ('"alone.toml"', '"alone.toml"\ngrid = { a.b = { low = 2, high = 1 } }', "`low` must be less than `high`"),
        ('"alone.toml"', '"alone.toml"\ngrid = { a.b = { low = 2, hihg = 3 } }', "unknown key; did you mean 'high'?"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(sweep, good, bad, told):
    with pytest.raises(KdsegError) as caught:
        sweep((good, bad))
    assert told in str(caught.value)


def test_all_problems_are_told_at_once(sweep):
    with pytest.raises(KdsegError) as caught:
        sweep(("[3, 5]", "[3]\njosb = 2"), ("steps = 4", "steps = 4, name = 'x'"), ('"offline.toml"', "3"))
    assert [line.split(": ")[0] for line in str(caught.value).splitlines()] == [f"sweep.toml:{n}" for n in (5, 6, 10)]


def test_a_recipe_is_no_sweep_and_a_sweep_no_recipe(sweep, study):
    sweep()
    with pytest.raises(KdsegError, match=r"base\.toml is a recipe, no study of several.* kdseg run "):
        read_sweep(study / "base.toml")
    with pytest.raises(KdsegError, match=r"sweep\.toml is a study of several runs.* kdseg sweep "):
        load_recipe(study / "sweep.toml")


VALUES = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.floats(-2, 2) | st.sampled_from(["alone", "a.b", "", "last"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["recipe", "set", "grid", "low", "high", "a.b", "seeds", "x y"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(["name", "arms", "baseline", "grid", "set", "seeds", "jobs", "metric", "learner", "other"])


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_whatever_a_file_holds_it_is_read_or_its_problems_are_told(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("any") / "sweep.toml"
    path.write_text(dumps({"sweep": table}), encoding="utf-8")
    try:
        read_sweep(path)
    except KdsegError as error:
        told = str(error)
    else:
        told = f"{path}:"
    assert told.startswith(f"{path}:")
