"""What keeps the scores of several groups of runs from being comparable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.engine.report.words import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kdseg.engine.report.groups import Group
    from kdseg.engine.report.reading import ReadRun

    Differing = Sequence[tuple[str, Sequence[str | None]]]

_JUDGED_ON = (
    *(f"data.{key}" for key in ("dataset", "val", "seed")),
    *(f"evaluate.{key}" for key in ("window", "overlap", "scales", "flip")),
)
"""Keys of a recipe that say which validation images are seen, and how."""
_NO_MATTER = "data.store"


def notes_on(groups: Sequence[Group], recipes: Differing) -> tuple[str, ...]:
    """Say which runs are not finished, and which groups were judged otherwise than the first.

    Args:
        groups: the first is the one that others are held against.
        recipes: keys in which their recipes differ, with each group's value.
    """
    return (*_unfinished(groups), *_judged_otherwise(groups, recipes))


def same_images(recipes: Differing, number: int) -> bool:
    """Tell whether runs of a group and of the first saw the same images in the same order, where their seeds agree."""
    keys = (key for key in _differing_keys(recipes, number) if key != _NO_MATTER)
    return not any(key == "train.batch_size" or key.startswith("data.") for key in keys)


def _unfinished(groups: Sequence[Group]) -> Iterator[str]:
    for group in groups:
        if group.left_out:
            yield f"{group.label}: {group.left_out} of {len(group.runs)} runs not finished, left out"
        elif not group.counted[0].finished:
            yield f"{group.label}: not finished; its scores are those so far"


def _judged_otherwise(groups: Sequence[Group], recipes: Differing) -> Iterator[str]:
    first, classes = groups[0], _classes(groups[0].counted[0])
    for number, group in enumerate(groups[1:], start=1):
        keys = [key for key in _differing_keys(recipes, number) if _is_of(key, _JUDGED_ON)]
        if keys:
            yield f"{group.label} and {first.label} were judged otherwise: {listed(keys)} differ"
        own = _classes(group.counted[0])
        if classes and own and own != classes:
            yield f"{group.label} has other classes ({_told(own)}) than {first.label} ({_told(classes)})"


def _differing_keys(recipes: Differing, number: int) -> list[str]:
    return [key for key, values in recipes if values[number] != values[0]]


def _is_of(key: str, tables: Sequence[str]) -> bool:
    return any(key == table or key.startswith(f"{table}.") for table in tables)


def _classes(run: ReadRun) -> tuple[str, ...]:
    return tuple(dict.fromkeys(label for found in run.metrics.classes.values() for label in found.get("iou", {})))


def _told(labels: Sequence[str], most: int = 4) -> str:
    return listed([*labels[:most], f"{len(labels) - most} more"] if len(labels) > most + 1 else labels)
