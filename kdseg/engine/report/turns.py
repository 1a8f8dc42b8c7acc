"""Whose turn it was, below or behind the curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from kdseg.engine.report.chart import BOTTOM, COLOURS, LEFT, RIGHT, TOP, steps_scale
from kdseg.engine.report.facts import is_taught

if TYPE_CHECKING:
    from kdseg.engine.report.facts import Participant
    from kdseg.engine.report.reading import ReadRun

SLICES = 120
"""So many parts of the axis show the shares of the turns."""
BAND_HEIGHT = 9


@frozen(kw_only=True)
class Turn:
    """A turn as charts show it."""

    name: str
    colour: int
    share: float
    """Of all steps."""
    path: str
    """What it covers: of the plot where turns last visibly, else of a band below the axis."""


@frozen(kw_only=True)
class Turns:
    """The turns of a run."""

    turns: tuple[Turn, ...]
    behind: bool
    """Whether they are shaded behind the curves."""


def turns_of(run: ReadRun, participants: tuple[Participant, ...]) -> Turns | None:
    """Give the turns of a run; None where there is but one."""
    names = [name for name in run.metrics.turns if name]
    if len(names) < 2:  # noqa: PLR2004 (it is always the same)
        return None
    counts = {name: sum(point.count for point in run.metrics.turns.points(name)) for name in names}
    stretches, total = run.metrics.stretches, sum(counts.values())
    paths = _shares(run, names) if stretches is None else _shades(run, stretches)
    return Turns(
        turns=tuple(
            Turn(
                name=name,
                colour=_colour(run, name, participants, number),
                share=counts[name] / total,
                path=paths.get(name, ""),
            )
            for number, name in enumerate(names)
        ),
        behind=stretches is not None,
    )


def _colour(run: ReadRun, turn: str, participants: tuple[Participant, ...], number: int) -> int:
    """Give a turn the colour of the one that learns in it, else one of its own."""
    terms = [term for term in run.terms.values() if turn in (term.get("turn") or ())]
    learners = [one for one in participants if any(is_taught(one.name, term) for term in terms)]
    if len(learners) == 1:
        return learners[0].colour % COLOURS
    return (len(participants) + number) % COLOURS


def _shades(run: ReadRun, stretches: list[tuple[int, int, str]]) -> dict[str, str]:
    across = steps_scale(run.metrics.last_step)
    paths: dict[str, str] = {}
    for first, last, name in stretches:
        left, right = across.at(first - 1), across.at(last)
        paths[name] = paths.get(name, "") + f"M{left:.1f} {TOP}H{right:.1f}V{BOTTOM}H{left:.1f}Z"
    return paths


def _shares(run: ReadRun, names: list[str]) -> dict[str, str]:
    """Stack the shares of the turns in each slice of the axis."""
    across = steps_scale(run.metrics.last_step)
    slices: list[dict[str, int]] = [{} for _ in range(min(SLICES, run.metrics.last_step))]
    for name in names:
        for point in run.metrics.turns.points(name):
            place = (across.at(point.middle - 0.5) - LEFT) / (RIGHT - LEFT)
            found = slices[min(len(slices) - 1, int(max(place, 0.0) * len(slices)))]
            found[name] = found.get(name, 0) + point.count
    paths = dict.fromkeys(names, "")
    wide = (RIGHT - LEFT) / len(slices)
    for number, found in enumerate(slices):
        top, total = float(BOTTOM + 3), sum(found.values())
        for name in names:
            if name in found:
                high = BAND_HEIGHT * found[name] / total
                paths[name] += f"M{LEFT + number * wide:.1f} {top:.1f}h{wide:.1f}v{high:.1f}h-{wide:.1f}z"
                top += high
    return paths
