"""Finished runs as the arms of a diagnosis: which of them learned from the same images."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from attrs import frozen

from kdseg.diagnostics import Arm
from kdseg.engine.folders.run_folder import RECIPE, find_run
from kdseg.engine.models.model import CARD
from kdseg.errors import KdsegError, display_path
from kdseg.recipe.load import load_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@frozen(kw_only=True)
class ArmRuns:
    """An arm and its networks."""

    arm: Arm
    paths: Sequence[Path]
    """Of its trials, as `kdseg.engine.judge.trials.find_trials` takes them."""


def arms_of(sides: Mapping[str, Sequence[Path]]) -> list[ArmRuns]:
    """Take finished runs for arms.

    Runs whose recipes name the same training images, the same `data.seed` and, of a sample of them, the same seed that
    draws it learned from one training set; a copy of a model's folder, which has no recipe, from one of its own.

    Args:
        sides: the runs' folders, by the arms' names.

    Raises:
        KdsegError: runs of one training set do not stand together, or a folder is no run.
    """
    found: list[Any] = []
    arms = []
    for name, paths in sides.items():
        numbers = []
        for path in paths:
            images = _images(path)
            if images not in found:
                found.append(images)
            numbers.append(found.index(images))
        changes = sum(one != other for one, other in itertools.pairwise(numbers))
        if changes != len({*numbers}) - 1:
            raise KdsegError(
                f"{name}: give runs that learned from the same images one after the other; their training sets come as "
                f"{', '.join(map(str, numbers))}"
            )
        description = f"Runs: {', '.join(map(display_path, paths))}"
        arms.append(ArmRuns(arm=Arm(name=name, samples=tuple(numbers), description=description), paths=paths))
    return arms


def _images(path: Path) -> Any:
    """Give what decides which images a network learned from."""
    if (path / CARD).exists():
        return path.absolute()
    recipe = load_recipe(find_run(path) / RECIPE).recipe
    data = recipe.data
    return (data.train, data.seed, None if data.resample is None else (data.resample, recipe.data_seed))
