"""Scores of single classes, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from kdseg.engine.report.words import score_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kdseg.engine.report.facts import Participant
    from kdseg.engine.report.reading import ReadRun


@frozen(kw_only=True)
class ClassTable:
    """A score of each class, by participant."""

    title: str
    columns: tuple[tuple[str, str, int], ...]
    """Participant, which evaluation, and colour."""
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]
    """Class and values, the best class first."""
    unit: bool
    """Whether all values lie from 0 to 1, so that bars can show them."""


def class_tables(run: ReadRun, participants: Sequence[Participant]) -> list[ClassTable]:
    """Give a table for each score that is told by class."""
    kinds = dict.fromkeys(kind for found in run.metrics.classes.values() for kind in found)
    return [_table(run, participants, kind) for kind in kinds]


def _table(run: ReadRun, participants: Sequence[Participant], kind: str) -> ClassTable:
    columns: list[tuple[str, str, int]] = []
    values: list[Mapping[str, float | None]] = []
    for one in sorted(participants, key=lambda one: not one.heard):
        last = run.metrics.classes.get(one.name, {}).get(kind)
        best = run.metrics.best_classes.get(one.name, {}).get(kind)
        if last is None:
            continue
        if best is not None and one.nature != "frozen":
            columns.append((one.name, "best" if one.best is None else f"best, step {one.best.step}", one.colour))
            values.append(best)
        columns.append((one.name, "last", one.colour))
        values.append(last)
    labels = dict.fromkeys(label for found in values for label in found)
    judged = next((one for one in participants if one.heard), participants[-1] if participants else None)
    order = next(
        (found for (name, _, _), found in zip(columns, values, strict=True) if judged and name == judged.name), {}
    )
    by_score = sorted(labels, key=lambda label: (order.get(label) is None, -(order.get(label) or 0)))
    every = [value for found in values for value in found.values() if value is not None]
    return ClassTable(
        title=f"{score_name(kind)} by class",
        columns=tuple(columns),
        rows=tuple((label, tuple(found.get(label) for found in values)) for label in by_score),
        unit=all(0 <= value <= 1 for value in every),
    )
