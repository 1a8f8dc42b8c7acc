"""A run's metrics file, read once from end to end, whatever state it is in."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from attrs import define, field

from kdseg.engine.folders.run_folder import METRICS
from kdseg.engine.report.curves import Curves

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

MOST_BYTES = 64 << 20
"""Of a file that is longer, so much is read, spread over all of it, and every line that is of no step."""
LAST_STEP = 10**12
"""No run takes so many steps: a line that says so is damaged."""
BLOCK = 512
"""Lines of steps that are read, or passed over, together: turns repeat within them."""
SHADES = 24
"""Stretches of steps with one turn each that a chart can show; where there are more, it shows their shares."""
_STEP = b'{"kind": "step"'
_STEP_NUMBER = re.compile(rb'\{"kind": "step", "step": (\d{1,12})\b')
_PLACE = frozenset({"kind", "step", "epoch", "turn", "seconds", "data_seconds"})


@define(kw_only=True)
class Best:
    """The highest value of a score."""

    value: float
    step: int


@define
class Seconds:
    """What some steps took."""

    steps: int = 0
    total: float = 0.0
    waiting: float = 0.0
    """Seconds of `total` in which the step waited for its data."""
    told: int = 0
    """Steps that say how long they waited; an older kdseg's do not."""

    def add(self, seconds: float, waited: float | None) -> None:
        """Take up a step."""
        self.steps += 1
        self.total += seconds
        if waited is not None:
            self.told += 1
            self.waiting += waited


@define(kw_only=True, eq=False)
class Metrics:
    """What a metrics file holds, by participant and name."""

    steps: Curves = field(factory=Curves)
    """Values of steps, such as `loss/TERM`, with `seconds` and `data_seconds`."""
    evaluations: Curves = field(factory=Curves)
    """Scores as `val/NAME/SCORE`."""
    recorded: Curves = field(factory=Curves)
    """What callbacks recorded."""
    turns: Curves = field(factory=Curves)
    """A value for each step by the name of its turn."""
    stretches: list[tuple[int, int, str]] | None = field(factory=list)
    """First step, last step and turn; None where they are too many to be shown."""
    scores: dict[str, dict[str, float]] = field(factory=dict)
    """The last scores of each participant."""
    best: dict[str, dict[str, Best]] = field(factory=dict)
    """The highest of each score, by participant."""
    classes: dict[str, dict[str, dict[str, float | None]]] = field(factory=dict)
    """The last scores of each class, by participant and score; None where there is no such pixel."""
    best_classes: dict[str, dict[str, dict[str, float | None]]] = field(factory=dict)
    """Those of the participant's best evaluation."""
    first: Seconds = field(factory=Seconds)
    """What the first step took; it warms up what the others use."""
    seconds: dict[str, Seconds] = field(factory=dict)
    """What the others took, by turn."""
    last_step: int = 0
    damaged: int = 0
    """Lines that are none."""
    lost: dict[str, int] = field(factory=dict)
    """How often a value was no number, by name."""
    every: int = 1
    """One of so many blocks of steps was read."""
    step_lines: int = 0
    """Lines of steps, with those that were passed over."""

    @property
    def scale(self) -> float:
        """How many steps there are for each that was read and says what it took."""
        read = self.first.steps + sum(one.steps for one in self.seconds.values())
        return self.step_lines / read if self.every > 1 and read else 1.0


def read_all(folder: Path, participants: Collection[str], metric: str) -> Metrics:
    """Read the metrics file of a run; empty where there is none.

    Args:
        folder: the run's.
        participants: their names, which may not be told from a score's otherwise.
        metric: the score by which evaluations are better or worse.
    """
    metrics = Metrics()
    for line in _lines(folder / METRICS, metrics):
        try:
            values = json.loads(line)
            kind, step = values["kind"], int(values["step"])
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            kind, step = None, -1
        if not 0 <= step <= LAST_STEP:
            metrics.damaged += 1
            continue
        metrics.last_step = max(metrics.last_step, step)
        if kind == "step":
            _add_step(metrics, step, values)
        elif kind == "evaluation":
            _add_evaluation(metrics, step, values, participants, metric)
        else:
            metrics.recorded.add(step, _numbers(metrics, values))
    return metrics


def _lines(path: Path, metrics: Metrics) -> Iterator[bytes]:
    """Give the lines to be read; a last one that has no end, of a killed run, is left out."""
    try:
        metrics.every = max(1, math.ceil(path.stat().st_size / MOST_BYTES))
        file = path.open("rb")
    except OSError:
        return
    passed_over = None
    with file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            if line.startswith(_STEP):
                metrics.step_lines += 1
                passed_over = line if (metrics.step_lines - 1) // BLOCK % metrics.every else None
            if line is not passed_over:
                yield line
    if passed_over is not None and (found := _STEP_NUMBER.match(passed_over)):
        metrics.last_step = max(metrics.last_step, int(found[1]))


def _numbers(metrics: Metrics, values: dict[str, Any]) -> list[tuple[str, float]]:
    found = []
    for name, value in values.items():
        if name in _PLACE:
            continue
        if (number := finite(value)) is not None:
            found.append((name, number))
        elif value is None or isinstance(value, float):
            metrics.lost[name] = metrics.lost.get(name, 0) + 1
    return found


def _add_step(metrics: Metrics, step: int, values: dict[str, Any]) -> None:
    numbers = _numbers(metrics, values)
    turn, seconds, waited = values.get("turn"), finite(values.get("seconds")), finite(values.get("data_seconds"))
    turn = turn if isinstance(turn, str) else ""
    if seconds is not None:
        first = metrics.last_step == step and not metrics.first.steps
        (metrics.first if first else metrics.seconds.setdefault(turn, Seconds())).add(seconds, waited)
        numbers.append(("seconds", seconds))
        if waited is not None:
            numbers.append(("data_seconds", waited))
    metrics.steps.add(step, numbers)
    metrics.turns.add(step, [(turn, 1.0)])
    _stretch(metrics, step, turn)


def _stretch(metrics: Metrics, step: int, turn: str) -> None:
    """Lengthen the stretch of a turn, or begin another."""
    if metrics.stretches is None:
        return
    if metrics.stretches and metrics.stretches[-1][2] == turn:
        metrics.stretches[-1] = (metrics.stretches[-1][0], step, turn)
    else:
        metrics.stretches.append((step, step, turn))
    if len(metrics.stretches) > SHADES:
        metrics.stretches = None


def _add_evaluation(
    metrics: Metrics, step: int, values: dict[str, Any], participants: Collection[str], metric: str
) -> None:
    metrics.evaluations.add(step, [(name, value) for name, value in _numbers(metrics, values) if name[:4] == "val/"])
    tables: dict[str, dict[str, dict[str, float | None]]] = {}
    better = set()
    for key, value in values.items():
        _, _, rest = key.partition("val/")
        name, _, score = rest.partition("/")
        if not score or (participants and name not in participants):
            continue
        if isinstance(value, dict):
            tables.setdefault(name, {})[score] = {str(label): finite(item) for label, item in value.items()}
        elif (number := finite(value)) is not None:
            metrics.scores.setdefault(name, {})[score] = number
            best = metrics.best.setdefault(name, {})
            if score not in best or number > best[score].value:
                best[score] = Best(value=number, step=step)
                better |= {name} if score == metric else set()
        elif value is None or isinstance(value, float):  # it was evaluated, and is no number: an older one is not its
            metrics.scores.get(name, {}).pop(score, None)
    for name, found in tables.items():
        metrics.classes.setdefault(name, {}).update(found)
        if name in better or name not in metrics.best_classes:
            metrics.best_classes[name] = found


def finite(value: Any) -> float | None:
    """Give a value that JSON holds as a number; None where it is none."""
    if not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
