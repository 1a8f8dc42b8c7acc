"""A comparison of runs as the parts of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from kdseg.engine.report.chart import COLOURS, Chart, draw
from kdseg.engine.report.facts import lessons, participants_of, state_of
from kdseg.engine.report.metrics import finite
from kdseg.engine.report.words import delta, interval, listed, score, score_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdseg.engine.report.comparison import Comparison, Held

DRAWN = 24
"""So many runs are drawn into one chart."""


@frozen(kw_only=True)
class Cell:
    """A score beside others."""

    value: str
    spread: str
    """Its standard deviation over seeds."""
    delta: str
    interval: str
    sure: str
    """How sure the difference is."""
    sign: str
    """Whether the difference is shown to be one: up, down or neither."""


def comparison_parts(comparison: Comparison) -> dict[str, Any]:
    """Give what the template of a comparison shows."""
    groups = comparison.groups
    unread = (f"{run.folder.name}: {note}" for group in groups for run in group.runs for note in run.notes)
    return {
        "title": listed(group.label for group in groups) if len(groups) < 4 else f"{len(groups)} recipes",  # noqa: PLR2004
        "comparison": comparison,
        "verdicts": [*_verdicts(comparison)],
        "undrawn": max(0, sum(len(group.runs) for group in groups) - DRAWN),
        "runs": [
            {
                "run": run,
                "group": group.label,
                "colour": number,
                "state": state_of(run),
                "seconds": finite(run.summary.get("seconds")),
                "lessons": lessons(participants_of(run)),
            }
            for number, group in enumerate(groups)
            for run in group.runs
        ],
        "scores": [(one, [None if held is None else cell(held) for held in one.held]) for one in comparison.scores],
        "classes": {
            name: [(label, [None if held is None else cell(held) for held in found]) for label, found in table.items()]
            for name, table in comparison.classes.items()
        },
        "score_charts": _charts(comparison, "val"),
        "loss_charts": _charts(comparison, "loss"),
        "notes": [*comparison.notes, *unread],
    }


def cell(held: Held) -> Cell:
    """Give a score and its difference to the first group as texts."""
    found = held.difference
    sign = ""
    if found is not None and found.low is not None and found.high is not None:
        sign = "up" if found.low > 0 else "down" if found.high < 0 else ""
    return Cell(
        value=score(held.estimate.mean),
        spread="" if held.estimate.sd is None else score(held.estimate.sd),
        delta="" if found is None else delta(found.mean),
        interval="" if found is None else interval(found.low, found.high),
        sure=held.sure,
        sign=sign,
    )


def _verdicts(comparison: Comparison) -> Iterator[str]:
    """Say how each group's learners stand to the first's, by the score that judges."""
    first = comparison.groups[0].label
    for one in comparison.scores:
        if one.which != "best":
            continue
        for group, held in zip(comparison.groups[1:], one.held[1:], strict=True):
            if held is None or held.difference is None:
                continue
            found = cell(held)
            shown = {"up": "better, and shown so", "down": "worse, and shown so", "": "no difference is shown"}[
                found.sign
            ]
            told = f"{found.interval} ({found.sure}): {shown}" if found.interval else f"({found.sure})"
            yield (
                f"{one.participant} of {group.label}: {found.value} {score_name(one.metric)}, {found.delta} to {first} "
                f"{told}"
            )


def _charts(comparison: Comparison, kind: str) -> list[Chart]:
    """Lay the curves of all runs over each other: a chart for each participant and score, or term."""
    members = [(number, group, run) for number, group in enumerate(comparison.groups) for run in group.runs][:DRAWN]
    last = max((run.metrics.last_step for _, _, run in members), default=0)
    if kind == "val":
        names = [
            (f"val/{one.participant}/{one.metric}", f"{score_name(one.metric)} of {one.participant}")
            for one in comparison.scores
            if one.which == "last"
        ]
    else:
        keys = dict.fromkeys(key for _, _, run in members for key in run.metrics.steps if key.startswith("loss/"))
        names = [(key, f"Loss of the term {key.removeprefix('loss/')}") for key in keys]
    charts = []
    for key, title in names:
        labels = {
            (group.label if len(group.runs) == 1 else f"{group.label}, seed {run.seed}"): (
                number + COLOURS * group.runs.index(run),  # the colour is the recipe's, the dashes are the seed's
                run,
            )
            for number, group, run in members
        }
        curves = {
            label: (run.metrics.evaluations if kind == "val" else run.metrics.steps).points(key)
            for label, (_, run) in labels.items()
        }
        colours = {label: number for label, (number, _) in labels.items()}
        charts.append(draw(title, curves, colours, last))
    return [chart for chart in charts if chart is not None]
