"""Which class was taken for which."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from attrs import frozen

from kdseg.engine.folders.run_folder import CONFUSION
from kdseg.engine.report.words import count, share

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MOST = 24
"""So many classes are shown by themselves; the others, those with the fewest pixels, are one row and column."""
SAID = 8
"""So many confusions are told in words."""


@frozen(kw_only=True)
class Cell:
    """A share of a class's pixels."""

    share: float
    text: str
    """In percent; empty where it would round to nothing."""


@frozen(kw_only=True)
class Confusion:
    """A participant's confusions, each row shares of one true class."""

    step: int
    split: str
    classes: tuple[str, ...]
    rows: tuple[tuple[Cell, ...] | None, ...]
    """None for a class without a pixel."""
    said: tuple[str, ...]
    """The most frequent confusions in words."""
    folded: int
    """How many classes are one row."""


def read_confusion(folder: Path, name: str) -> Confusion | None:
    """Read a participant's confusion matrix from a run's folder; None where there is none that can be read."""
    try:
        found = json.loads((folder / CONFUSION / f"{name}.json").read_text(encoding="utf-8"))
        classes, matrix = [str(label) for label in found["classes"]], [[*map(int, row)] for row in found["matrix"]]
        step, split = int(found["step"]), str(found["split"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None
    if not classes or [len(row) for row in matrix] != [len(classes)] * len(classes):
        return None
    said = _said(classes, matrix)
    folded = max(0, len(classes) - MOST) if len(classes) > MOST + 1 else 0
    if folded:
        classes, matrix = _fold(classes, matrix)
    return Confusion(
        step=step,
        split=split,
        classes=tuple(classes),
        rows=tuple(_row(row) for row in matrix),
        said=said,
        folded=folded,
    )


def _fold(classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> tuple[list[str], list[list[int]]]:
    """Join the classes with the fewest pixels."""
    by_size = sorted(range(len(classes)), key=lambda number: -sum(matrix[number]))
    kept = sorted(by_size[:MOST])
    groups: list[list[int]] = [[number] for number in kept] + [sorted(by_size[MOST:])]
    joined = [[sum(matrix[row][column] for row in rows for column in columns) for columns in groups] for rows in groups]
    return [*(classes[number] for number in kept), f"{len(classes) - MOST} others"], joined


def _row(row: Sequence[int]) -> tuple[Cell, ...] | None:
    total = sum(row)
    if total <= 0:
        return None
    return tuple(Cell(share=round(value / total, 4), text=_percent(value / total)) for value in row)


def _percent(value: float) -> str:
    return f"{100 * value:.0f}" if value >= 0.005 else "" if value == 0 else "·"  # noqa: PLR2004 (rounds to 1 %)


def _said(classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> tuple[str, ...]:
    """Tell the confusions of the most pixels."""
    found: list[tuple[int, int, int]] = sorted(
        (-value, row, column)
        for row, values in enumerate(matrix)
        for column, value in enumerate(values)
        if row != column and value > 0
    )[:SAID]
    return tuple(
        f"{classes[row]} taken for {classes[column]}: {share(-value / sum(matrix[row]))} of {classes[row]}, "
        f"{count(-value)} pixels"
        for value, row, column in found
    )
