"""A comparison of runs as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.engine.report.facts import state_of
from kdseg.engine.report.metrics import finite
from kdseg.engine.report.words import NOTHING, delta, duration, interval, score, score_name
from kdseg.errors import display_path, one_line

if TYPE_CHECKING:
    from kdseg.engine.report.comparison import Comparison, Held

Rows = list[tuple[str, ...]]


def run_rows(comparison: Comparison) -> Rows:
    """Give a row for each run, the headings first."""
    rows: Rows = [("recipe", "seed", "state", "steps", "time", "folder")]
    for group in comparison.groups:
        for run in group.runs:
            state, seconds = state_of(run)[0], duration(finite(run.summary.get("seconds")))
            steps = str(run.metrics.last_step)
            rows.append((group.label, str(run.seed), state, steps, seconds, display_path(run.folder)))
    return rows


def score_rows(comparison: Comparison) -> Rows:
    """Give a row for each score of a participant in a group, the headings first."""
    rows: Rows = [("participant", "score", "recipe", "seeds", "mean ± sd", "difference [95 %]", "how sure")]
    for one in comparison.scores:
        for number, (group, held) in enumerate(zip(comparison.groups, one.held, strict=True)):
            first = number == 0
            rows.append(
                (
                    one.participant if first else "",
                    f"{one.which} {score_name(one.metric)}" if first else "",
                    group.label,
                    *(_cells(held, first=first) if held is not None else ("0", NOTHING, NOTHING, "")),
                )
            )
    return rows


def _cells(held: Held, *, first: bool) -> tuple[str, str, str, str]:
    found, against = held.estimate, held.difference
    mean = score(found.mean) if found.sd is None else f"{score(found.mean)} ± {score(found.sd)}"
    if against is None:
        return str(found.n), mean, "the first" if first else NOTHING, held.sure
    said = " ".join(part for part in (delta(against.mean), interval(against.low, against.high)) if part)
    return str(found.n), mean, said, held.sure


def recipe_rows(comparison: Comparison) -> Rows:
    """Give a row for each key in which the recipes differ, the headings first."""
    rows: Rows = [("key", *(group.label for group in comparison.groups))]
    rows += [
        (one_line(key), *(NOTHING if value is None else one_line(value) for value in values))
        for key, values in comparison.recipes
    ]
    return rows
