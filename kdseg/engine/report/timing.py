"""What the steps of a run took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from kdseg.engine.report.chart import Chart, draw
from kdseg.engine.report.metrics import Seconds

if TYPE_CHECKING:
    from kdseg.engine.report.reading import ReadRun


@frozen(kw_only=True)
class Pace:
    """How quick steps were."""

    label: str
    steps: int
    seconds: float
    """Of a step, on average."""
    images: float | None
    """A second."""
    waiting: float | None
    """The share of the time in which steps waited for data; None where the run does not say."""


@frozen(kw_only=True)
class Timing:
    """What the steps took, the first apart."""

    paces: tuple[Pace, ...]
    """All steps, then those of each turn."""
    first: float | None
    chart: Chart | None
    about: bool
    """Whether steps are counted from a part of them."""


def timing_of(run: ReadRun) -> Timing | None:
    """Give what a run's steps took; None where none was taken."""
    metrics, size = run.metrics, run.table("train").get("batch_size")
    size = size if isinstance(size, int) else None
    if not metrics.first.steps:
        return None
    every = Seconds()
    for one in metrics.seconds.values():
        every.steps += one.steps
        every.total += one.total
        every.waiting += one.waiting
        every.told += one.told
    scale = metrics.scale
    paces = [_pace("all steps after the first", every, size, scale)]
    if len(metrics.seconds) > 1:
        paces += [
            _pace(f"turn {turn}" if turn else "no turn", one, size, scale) for turn, one in metrics.seconds.items()
        ]
    curves = {"a step": metrics.steps.points("seconds"), "waiting for data": metrics.steps.points("data_seconds")}
    return Timing(
        paces=tuple(pace for pace in paces if pace is not None),
        first=metrics.first.total,
        chart=draw(
            "Seconds", curves, {"a step": 0, "waiting for data": 1}, metrics.last_step, limits=(0.0, 0.0), turns=True
        ),
        about=metrics.every > 1,
    )


def _pace(label: str, found: Seconds, batch_size: int | None, scale: float) -> Pace | None:
    if not found.steps:
        return None
    seconds = found.total / found.steps
    known = found.told == found.steps and found.total > 0
    return Pace(
        label=label,
        steps=round(found.steps * scale),
        seconds=seconds,
        images=batch_size / seconds if batch_size is not None and seconds > 0 else None,
        waiting=found.waiting / found.total if known else None,
    )
