"""Which of several runs are one recipe with several seeds."""

from __future__ import annotations

import json
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg.engine.report.reading import ReadRun

_OWN = ("seed", "name", "output")
"""Keys of a recipe in which the runs of a group may differ."""
_PLACE = ("run", "sha256")
"""Keys of weights that name the run which they come from: a teacher trained for each seed is another run for each."""


@frozen(kw_only=True, eq=False)
class Group:
    """Runs of one recipe."""

    label: str
    runs: tuple[ReadRun, ...]

    @property
    def seeds(self) -> list[int]:
        """Those of its runs."""
        return [run.seed for run in self.runs]

    @property
    def counted(self) -> tuple[ReadRun, ...]:
        """Those whose scores count: the finished ones; all where none is, because all then tell of their beginning."""
        return tuple(run for run in self.runs if run.finished) or self.runs

    @property
    def left_out(self) -> int:
        """How many do not count."""
        return len(self.runs) - len(self.counted)


def group_runs(runs: Sequence[ReadRun]) -> tuple[Group, ...]:
    """Put runs of the same recipe together, in the order in which their first came.

    Runs belong together where their saved recipes say the same but for seed, name, output and the runs that their
    weights come from, and no two share a seed: then a teacher of its own would be what differs, so each stands alone.
    """
    found: dict[str, list[ReadRun]] = {}
    for run in runs:
        found.setdefault(_key(run, with_places=False), []).append(run)
    groups: list[list[ReadRun]] = []
    for members in found.values():
        if len({run.seed for run in members}) == len(members):
            groups.append(members)
        else:
            apart: dict[str, list[ReadRun]] = {}
            for run in members:
                apart.setdefault(_key(run, with_places=True), []).append(run)
            groups += apart.values()
    groups = [part for members in groups for part in _distinct(members)]
    groups.sort(key=lambda members: min(runs.index(run) for run in members))
    labels = _labels([_label(members) for members in groups])
    return tuple(Group(label=label, runs=tuple(members)) for label, members in zip(labels, groups, strict=True))


def comparable(run: ReadRun) -> dict[str, Any]:
    """Give what a recipe says but for seed, name and output; plugin files by their content, wherever the copies lie."""
    recipe = {key: value for key, value in run.recipe.items() if key not in _OWN}
    files, hashes = recipe.pop("plugins", None), run.environment.get("plugin_files")
    if isinstance(files, list) and files:
        known = hashes if isinstance(hashes, dict) else {}
        names = [PurePath(str(file)).name for file in files]
        recipe["plugins"] = [f"{name} {str(known.get(name, ''))[:12]}".rstrip() for name in names]
    return recipe


def _key(run: ReadRun, *, with_places: bool) -> str:
    recipe = comparable(run)
    if not run.recipe:
        return str(run.folder)  # nothing is known of it
    if not with_places:
        recipe["models"] = {name: _without_places(spec) for name, spec in run.models.items()}
    return json.dumps(recipe, sort_keys=True, default=str)


def _without_places(spec: dict[str, Any]) -> dict[str, Any]:
    weights = spec.get("weights")
    if not isinstance(weights, dict) or "run" not in weights:
        return spec
    return spec | {"weights": {key: value for key, value in weights.items() if key not in _PLACE}}


def _distinct(members: Sequence[ReadRun]) -> list[list[ReadRun]]:
    """Part runs of one recipe and one seed: the same run made twice is no second seed."""
    parts: list[list[ReadRun]] = []
    for run in members:
        part = next((part for part in parts if run.seed not in {other.seed for other in part}), None)
        if part is None:
            parts.append([run])
        else:
            part.append(run)
    return parts


def _label(members: Sequence[ReadRun]) -> str:
    names = {run.name for run in members}
    bare = {re.sub(r"-seed-?\d+$", "", name) for name in names}
    return bare.pop() if len(bare) == 1 else min(names)


def _labels(names: Sequence[str]) -> list[str]:
    """Make labels of names that may be alike."""
    seen: dict[str, int] = {}
    labels = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        labels.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return labels
