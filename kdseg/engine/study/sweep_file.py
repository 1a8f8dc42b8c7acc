"""The file of a sweep: its keys, read strictly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from attrs import evolve, field, frozen
from attrs.validators import deep_iterable, ge, le, optional

from kdseg.errors import KdsegError, Problem, ProblemsError, did_you_mean, display_path
from kdseg.recipe.keys import split_key
from kdseg.recipe.layers import Layer, Origins, read_file, setting_layer
from kdseg.recipe.load import find_recipe
from kdseg.recipe.schema import NAME
from kdseg.recipe.structure import Structurer
from kdseg.recipe.validators import folder_name, not_empty
from kdseg.recipe.values import Mistakes, expected
from kdseg.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from attrs import Attribute

    from kdseg.recipe.keys import KeyPath
    from kdseg.recipe.values import Mistake

MOST_JOBS = 256
MOST_SEEDS = 10_000
OWNED = {"name": "names each run itself", "seed": "gives each run its seed", "output": "gives each run its folder"}
"""What of a recipe the sweep says."""
_WHOLE = {"use", "curve", "at"}
"""A table with one of these keys is one value: a component, or a weight."""
_RANGE = {"low", "high"}
"""In a grid, a table with one of these is a range."""


def _names(_sweep: Sweep, _: Attribute[Any], value: Mapping[str, Any]) -> None:
    """Refuse a sweep without arms, and names of arms that could not stand in a file's name."""
    if not value:
        raise ValueError("must not be empty")
    for name in value:
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name: a lower-case word, with digits, - or _")


def _different(_sweep: Sweep, _: Attribute[Any], value: tuple[int, ...]) -> None:
    """Refuse a seed that is there twice: the same run would count twice."""
    twice = next((seed for seed in value if value.count(seed) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is there twice")


@frozen(kw_only=True)
class Arm:
    """One of the ways of training that the study compares."""

    recipe: Annotated[str, "a recipe's file, relative to this one, or the name of a bundled recipe"]
    set: Annotated[dict[str, Any], "changes of the recipe, of this arm alone"] = field(factory=dict)
    grid: Annotated[dict[str, Any] | None, "takes the place of the sweep's grid; {} for none"] = None


@frozen(kw_only=True)
class Sweep:
    """What is compared, over which seeds, and how the runs are made."""

    name: Annotated[str | None, "names the sweep's folder; default: the file's stem"] = field(
        default=None, validator=optional(folder_name)
    )
    arms: Annotated[dict[str, Arm], "the ways of training to compare, by names of your own"] = field(validator=_names)
    baseline: Annotated[str | None, "the arm that the others are held against; default: the first"] = None
    grid: Annotated[dict[str, Any], "dotted keys with the values to try, every combination, in every arm"] = field(
        factory=dict
    )
    set: Annotated[dict[str, Any], "changes of every arm's recipe"] = field(factory=dict)
    seeds: Annotated[tuple[int, ...], "the seeds of the runs of each arm, or how many: 5 means 0 to 4"] = field(
        validator=[not_empty, _different, deep_iterable(ge(0))]
    )
    teachers: Annotated[
        Literal["own", "shared"],
        "trained by `weights = { recipe = … }`: one for each seed, by that seed, or one for all by its recipe's seed",
    ] = "own"
    learner: Annotated[str | None, "who is judged; default: `student`, or the only learner"] = None
    metric: Annotated[str | None, "the score to compare; default: the recipes' evaluate.metric"] = None
    which: Annotated[Literal["last", "best"], "that of the last evaluation, or of the best"] = "last"
    equal_steps: Annotated[bool, "refuse an arm whose learner takes more or fewer steps than the baseline's"] = True
    jobs: Annotated[int | None, "runs at once; default: one a GPU, or one"] = field(
        default=None, validator=optional([ge(1), le(MOST_JOBS)])
    )
    folder: Annotated[Path, "the folder of all sweeps; default: `runs/sweeps` in the working folder"] = field(
        factory=lambda: Path("runs/sweeps").absolute()
    )


@frozen(kw_only=True)
class Range:
    """A range of numbers, which `kdseg sweep --search` draws from: integers where both ends are."""

    low: Annotated[Any, "the smallest"]
    high: Annotated[Any, "the largest"]
    log: Annotated[bool, "draw its logarithm evenly"] = False


@frozen(kw_only=True, eq=False)
class Axis:
    """One key of a grid."""

    stated: KeyPath
    """Where the file says it."""
    key: KeyPath
    """The key of the recipe."""
    values: list[Any] | Range
    """The values to try, as they stand in the file, or a range."""


@frozen(kw_only=True)
class _File:
    """The top of the file."""

    sweep: Annotated[Sweep, "the sweep"]


@frozen(kw_only=True)
class SweepFile:
    """A sweep as it was read, and where each of its keys stands."""

    sweep: Sweep
    path: Path
    layer: Layer

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self.sweep.name or self.path.stem

    @property
    def folder(self) -> Path:
        """The sweep's own folder."""
        return self.sweep.folder / self.name

    @property
    def baseline(self) -> str:
        """The arm that the others are held against."""
        return self.sweep.baseline or next(iter(self.sweep.arms))

    def problem(self, path: KeyPath, message: str) -> Problem:
        """Place a problem at a key of the file."""
        return _problem(self.layer, path, message)

    def setting(self, stated: KeyPath, key: KeyPath, value: Any) -> Layer:
        """Give a change of a recipe.

        Args:
            stated: the key of this file that says it.
            key: the key of the recipe.
            value: its value.
        """
        return setting_layer(key, value, self.layer.where(stated))

    def settings(self, *path: str) -> Iterator[Layer]:
        """Give the changes that a table `set` says, one for each of its values."""
        for stated, key, value in _leaves(_at(self.layer.raw, path), (), _WHOLE):
            yield self.setting((*path, *stated), key, value)

    def axes(self, arm: str) -> tuple[Axis, ...]:
        """Give the grid of an arm."""
        path = ("sweep", "grid") if self.sweep.arms[arm].grid is None else ("sweep", "arms", arm, "grid")
        return tuple(
            Axis(stated=(*path, *stated), key=key, values=_range(value) if isinstance(value, dict) else value)
            for stated, key, value in _leaves(_at(self.layer.raw, path), (), _RANGE)
        )


def read_sweep(path: str | Path) -> SweepFile:
    """Read a sweep's file and check its shape.

    Args:
        path: a file, or the name of a bundled one.

    Raises:
        KdsegError: there is no such file, or it is a recipe.
        ProblemsError: with all that is wrong with its keys.
    """
    file = find_recipe(path)
    layer = read_file(file)
    if "sweep" not in layer.raw and "train" in layer.raw:
        raise KdsegError(f"{display_path(file)} is a recipe, no study of several: it has no [sweep]. kdseg run {path}")
    layer = evolve(layer, document=layer.raw)
    found = list(_mistakes(layer.raw))
    try:
        sweep = Structurer(Registry(entries=())).converter.structure(_with_seeds(layer.raw), _File).sweep
    except Mistakes as mistakes:
        found += mistakes.found
    if found:
        problems = [_problem(layer, key, message) for key, message in found]
        raise ProblemsError(sorted(problems, key=lambda problem: int(problem.where.rpartition(":")[2])))
    return SweepFile(sweep=sweep, path=file, layer=layer)


def _problem(layer: Layer, path: KeyPath, message: str) -> Problem:
    return Origins(layers=(layer,), document=layer.raw).problem(path, message)


def _at(value: Any, path: KeyPath) -> Any:
    """Give what a document says at a key; an empty table where it says nothing."""
    for part in path:
        value = value[part] if isinstance(value, dict) and part in value else {}
    return value


def _leaves(table: Any, above: KeyPath, whole: set[str]) -> Iterator[tuple[KeyPath, KeyPath, Any]]:
    """Give each value of a table of a recipe's keys: the keys as written, the recipe's key, the value."""
    for name, value in table.items():
        key = (*above, name) if above or "." not in name else split_key(name)
        if isinstance(value, dict) and value and whole.isdisjoint(value):
            for stated, below, leaf in _leaves(value, key, whole):
                yield (name, *stated), below, leaf
        else:
            yield (name,), key, value


def _range(value: dict[str, Any]) -> Range:
    """Read a range.

    Raises:
        Mistakes: it is none.
    """
    return Structurer(Registry(entries=())).converter.structure(value, Range)


def _with_seeds(document: dict[str, Any]) -> dict[str, Any]:
    """Write out the seeds where the file says how many."""
    sweep = document.get("sweep")
    seeds = sweep.get("seeds") if isinstance(sweep, dict) else None
    if not isinstance(sweep, dict) or seeds is None or isinstance(seeds, list):
        return document
    if isinstance(seeds, bool) or not isinstance(seeds, int) or not 0 < seeds <= MOST_SEEDS:
        raise expected("a list of seeds, or how many", seeds, "sweep", "seeds")
    return {**document, "sweep": {**sweep, "seeds": list(range(seeds))}}


def _mistakes(document: dict[str, Any]) -> Iterator[Mistake]:
    """Tell what the types alone do not: keys that are none, what the sweep itself says, a baseline that is no arm."""
    arms = _at(document, ("sweep", "arms"))
    names = list(arms) if isinstance(arms, dict) else []
    baseline = _at(document, ("sweep", "baseline"))
    if isinstance(baseline, str) and names and baseline not in names:
        known = did_you_mean(baseline, names) or f"; the arms are {', '.join(names)}"
        yield ("sweep", "baseline"), f"no arm is called {str(baseline)!r}{known}"
    for place in (("sweep",), *(("sweep", "arms", name) for name in names)):
        for path in ((*place, "set"), (*place, "grid")):
            table = _at(document, path)
            if isinstance(table, dict):
                yield from (((*path, *key), message) for key, message in _key_mistakes(table, path[-1]))


def _key_mistakes(table: dict[str, Any], kind: str) -> Iterator[Mistake]:
    """Tell what is wrong with a table of a recipe's keys, `set` or `grid`."""
    sound = {}
    for name, value in table.items():
        try:
            first = split_key(name)[0] if "." in name else name
        except KdsegError as error:
            yield (name,), str(error)
            continue
        if first in OWNED:
            yield (name,), f"the sweep {OWNED[first]}"
        elif first in ("extends", "drop", "plugins"):
            yield (name,), f"`{first}` has its place in a recipe's file alone"
        else:
            sound[name] = value
    for stated, _, value in _leaves(sound, (), _RANGE) if kind == "grid" else ():
        yield from (((*stated, *path), message) for path, message in _axis_mistakes(value))


def _axis_mistakes(value: Any) -> Iterator[Mistake]:
    """Tell what is wrong with one key of a grid."""
    if isinstance(value, dict) and value:
        try:
            found = _range(value)
        except Mistakes as mistakes:
            yield from mistakes.found
            return
        ends = (("low", found.low), ("high", found.high))
        strange = [name for name, end in ends if isinstance(end, bool) or not isinstance(end, int | float)]
        if strange:
            yield from (((name,), "expected a number") for name in strange)
        elif found.low >= found.high:
            yield (), "`low` must be less than `high`"
        elif found.log and found.low <= 0:
            yield ("low",), "must be above 0 where `log` is true"
    elif not isinstance(value, list) or not value:
        yield (), "expected a list of values or, for --search, a range such as { low = 1e-4, high = 1e-2, log = true }"
    elif any(value.count(item) > 1 for item in value):
        yield (), "a value is there twice"
