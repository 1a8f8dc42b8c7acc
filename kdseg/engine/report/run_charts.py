"""The charts of one run, in groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from kdseg.engine.report.chart import Chart, draw
from kdseg.engine.report.facts import is_taught
from kdseg.engine.report.words import score_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kdseg.engine.report.curves import Curves, Point
    from kdseg.engine.report.facts import Participant
    from kdseg.engine.report.reading import ReadRun

MOST_RECORDED = 24
"""So many charts of what callbacks wrote are drawn."""


@frozen(kw_only=True)
class Group:
    """Charts under one heading."""

    id: str
    title: str
    text: str
    charts: tuple[Chart, ...]


def run_charts(run: ReadRun, participants: Sequence[Participant]) -> list[Group]:
    """Draw a run's curves; groups without any are left out."""
    found = [
        Group(
            id="scores",
            title="Scores on the validation split",
            text="By participant, at each evaluation.",
            charts=_scores(run, participants),
        ),
        Group(
            id="losses",
            title="Losses",
            text="By learner and term, each before its weight. Where a point stands for several steps, the band spans "
            "their lowest and highest.",
            charts=_losses(run, participants),
        ),
        Group(
            id="settings",
            title="Weights and learning rates",
            text="What each term counts, and how fast each learner moves.",
            charts=_settings(run, participants),
        ),
        Group(
            id="gradients",
            title="Gradients of the terms",
            text="Looked at every so many steps: the norm at what a term reads, and the cosine between two terms: "
            "above 0 they pull together, below 0 against each other.",
            charts=_gradients(run),
        ),
        _recorded(run, participants),
    ]
    return [group for group in found if group.charts]


def _scores(run: ReadRun, participants: Sequence[Participant]) -> tuple[Chart, ...]:
    curves, colours = run.metrics.evaluations, {one.name: one.colour for one in participants}
    keys = dict.fromkeys([run.metric, *(key for one in run.metrics.best.values() for key in one)])
    return _drawn(
        draw(
            score_name(key),
            {name: curves.points(f"val/{name}/{key}") for name in colours},
            colours,
            run.metrics.last_step,
            turns=True,
        )
        for key in keys
    )


def _losses(run: ReadRun, participants: Sequence[Participant]) -> tuple[Chart, ...]:
    curves, charts, seen = run.metrics.steps, [], set()
    for one in participants:
        terms = [name for name, term in run.terms.items() if is_taught(one.name, term)]
        seen |= {*terms}
        charts.append(_named(run, f"Loss of {one.name} by term", "loss/", terms))
    others = [name for name in _suffixes(curves, "loss/") if name not in seen]  # where the recipe cannot be read
    charts.append(_named(run, "Loss by term", "loss/", others))
    charts.append(_named(run, "Loss of the critics by term", "critic/", _suffixes(curves, "critic/")))
    return _drawn(charts)


def _settings(run: ReadRun, participants: Sequence[Participant]) -> tuple[Chart, ...]:
    rates = {one.name: run.metrics.steps.points(f"lr/{one.name}") for one in participants}
    colours = {one.name: one.colour for one in participants}
    return _drawn(
        [
            _named(run, "Weight by term", "weight/", _suffixes(run.metrics.steps, "weight/")),
            draw("Learning rate by participant", rates, colours, run.metrics.last_step, turns=True),
        ]
    )


def _gradients(run: ReadRun) -> tuple[Chart, ...]:
    curves = run.metrics.steps
    return _drawn(
        [
            _named(run, "Gradient norm by term", "grad/", _suffixes(curves, "grad/")),
            _named(run, "Cosine between two terms", "cosine/", _suffixes(curves, "cosine/"), limits=(-1.0, 1.0)),
        ]
    )


def _recorded(run: ReadRun, participants: Sequence[Participant]) -> Group:
    """Draw what has no chart of its own; values that are told of each participant share one."""
    known = ("loss/", "critic/", "weight/", "lr/", "grad/", "cosine/")
    others = [name for name in run.metrics.steps if not name.startswith(known) and not name.endswith("seconds")]
    colours = {one.name: one.colour for one in participants}
    charts: dict[str, dict[str, list[Point]]] = {}
    for curves, names in ((run.metrics.recorded, [*run.metrics.recorded]), (run.metrics.steps, others)):
        for name in names:
            what, _, last = name.rpartition("/")
            title, label = (f"{what} by participant", last) if what and last in colours else (name, name)
            charts.setdefault(title, {})[label] = curves.points(name)
    more = len(charts) - MOST_RECORDED
    return Group(
        id="recorded",
        title="What callbacks and gates recorded",
        text=f"And {more} more, which metrics.jsonl has." if more > 0 else "",
        charts=_drawn(
            draw(title, lines, {label: colours.get(label, 0) for label in lines}, run.metrics.last_step, turns=True)
            for title, lines in [*charts.items()][:MOST_RECORDED]
        ),
    )


def _named(
    run: ReadRun, title: str, prefix: str, names: Sequence[str], limits: tuple[float, float] | None = None
) -> Chart | None:
    """Draw step values whose names share a prefix, each in the colour of its term."""
    order = [*run.terms, *names]
    curves: Mapping[str, Sequence[Point]] = {name: run.metrics.steps.points(f"{prefix}{name}") for name in names}
    colours = {name: order.index(name) if name in run.terms else number for number, name in enumerate(names)}
    return draw(title, curves, colours, run.metrics.last_step, limits=limits, turns=True)


def _suffixes(curves: Curves, prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in curves if name.startswith(prefix)]


def _drawn(charts: Iterable[Chart | None]) -> tuple[Chart, ...]:
    return tuple(chart for chart in charts if chart is not None)
