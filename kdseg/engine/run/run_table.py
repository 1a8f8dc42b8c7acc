"""What a person who watches a run is shown of it."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from attrs import define, field
from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kdseg.engine.folders.metrics_file import read_metrics
from kdseg.engine.run.plain_lines import millions
from kdseg.errors import display_path
from kdseg.recipe.schema import Frozen, Shadow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from kdseg.engine.run.state import Run

POINTS = 16
"""Of a small curve."""
WITH_CURVES, WITH_RATES = 100, 72
"""Columns of a window that has room for them."""
BLOCKS = "▁▂▃▄▅▆▇█"


@define(eq=False)
class Curve:
    """The course of a value, in few points: where they become too many, each two are made their mean."""

    points: list[float] = field(factory=list)
    _each: int = 1
    """Values of a point."""
    _open: list[float] = field(factory=list)

    def add(self, value: float) -> None:
        """Take one more value."""
        self._open.append(value)
        if len(self._open) < self._each:
            return
        self.points.append(sum(self._open) / self._each)
        self._open = []
        if len(self.points) == 2 * POINTS:
            self.points = [(a + b) / 2 for a, b in zip(self.points[::2], self.points[1::2], strict=True)]
            self._each *= 2

    def __str__(self) -> str:
        """Draw it from its lowest point to its highest; what is no number is left out."""
        points = self.points[-POINTS:]
        finite = [value for value in points if math.isfinite(value)]
        if not finite:
            return ""
        low, span = min(finite), (max(finite) - min(finite)) or 1.0
        height = len(BLOCKS) - 1
        return "".join(BLOCKS[round((v - low) / span * height)] if math.isfinite(v) else " " for v in points)


class RunTable:
    """What the table says, at each moment that it is drawn."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.metric = run.recipe.evaluate.metric
        self._terms = {
            name: [label for label, term in run.recipe.terms.items() if term.learns.participant == name]
            for name in run.participants
        }
        self._losses = {label: Curve() for label in run.recipe.terms}
        self._scores = {name: Curve() for name in run.participants}
        self._sizes = {name: millions(network) for name, network in run.participants.items()}
        self._began, self._first_step = time.monotonic(), run.step
        self._seconds = self._waited = 0.0
        for line in read_metrics(run.folder, "evaluation") if run.step else ():
            self._take_scores(line)

    def take_step(self) -> None:
        """Take the values of a step's terms."""
        for label in self._run.last_active:
            if (value := self._run.values.get(f"loss/{label}")) is not None:
                self._losses[label].add(value)
        self._seconds += self._run.times.get("seconds", 0.0)
        self._waited += self._run.times.get("data_seconds", 0.0)

    def take_scores(self) -> None:
        """Take the scores of an evaluation."""
        self._take_scores(self._run.values)

    def _take_scores(self, values: Mapping[str, Any]) -> None:
        for name, curve in self._scores.items():
            value = values.get(f"val/{name}/{self.metric}")
            if value is not None:
                curve.add(value)

    def scores(self) -> Iterator[tuple[str, float]]:
        """Give who has a score, and which."""
        for name in self._run.participants:
            if (value := self._run.values.get(f"val/{name}/{self.metric}")) is not None:
                yield name, value

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it for a window of this width."""
        yield Group(*self._head(options.max_width), self._body(options.max_width))

    def _head(self, width: int) -> Iterator[RenderableType]:
        run = self._run
        elapsed, taken = time.monotonic() - self._began, run.step - self._first_step
        yield Text(display_path(run.folder), style="bold", no_wrap=True, overflow="ellipsis")
        parts = [f"step {run.step}/{run.total_steps}", f"epoch {run.epoch + 1}", *self._turn(), duration(elapsed)]
        if taken:
            rate = taken / elapsed
            parts.append(f"{duration((run.total_steps - run.step) / rate)} left")
            parts.append(f"{rate * run.images_per_step:.3g} images/s")
        if self._seconds:
            parts.append(f"{self._waited / self._seconds:.0%} waiting for data")
        yield Text(" · ".join(parts), overflow="fold")
        bar = Table.grid()  # which ends its line
        bar.add_row(ProgressBar(total=run.total_steps, completed=run.step, width=min(width, WITH_CURVES)))
        yield bar

    def _turn(self) -> Iterator[str]:
        """Give the turn, where it lasts long enough to be read."""
        turns, step = self._run.recipe.turns, min(self._run.step, self._run.total_steps - 1)
        if turns is not None and (turns.unit == "epoch" or turns.gate is not None):
            yield f"turn {self._run.stepper.turns.at(step)}"

    def _body(self, width: int) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        table.add_column("participant", overflow="ellipsis", no_wrap=True)
        if width >= WITH_RATES:
            table.add_column("rate", no_wrap=True)
        table.add_column("loss", overflow="ellipsis", no_wrap=True)
        table.add_column(self.metric, overflow="ellipsis", no_wrap=True)
        for name in self._run.participants:
            cells = [
                Text.assemble((name, "cyan"), f" {self._sizes[name]}"),
                self._loss(name, width),
                self._score(name, width),
            ]
            if width >= WITH_RATES:
                cells.insert(1, Text(self._rate(name)))
            table.add_row(*cells)
        return table

    def _rate(self, name: str) -> str:
        spec, rate = self._run.recipe.models[name], self._run.values.get(f"lr/{name}")
        if isinstance(spec, Frozen):
            return "frozen"
        if isinstance(spec, Shadow):
            return f"of {spec.shadow_of}"
        return "" if rate is None else f"{rate:.2g}"

    def _loss(self, name: str, width: int) -> Text:
        lines = []
        for label in self._terms[name]:
            value = self._run.values.get(f"loss/{label}")
            curve = f"  {self._losses[label]}" if width >= WITH_CURVES else ""
            lines.append(f"{label} {'–' if value is None else f'{value:.3g}'}{curve}")
        return Text("\n".join(lines), no_wrap=True, overflow="ellipsis")

    def _score(self, name: str, width: int) -> Text:
        value = dict(self.scores()).get(name)
        if value is None:
            return Text("–")
        curve = f"  {self._scores[name]}" if width >= WITH_CURVES else ""
        best = f"  best {self._run.best[name]['value']:.3f}" if name in self._run.best else ""
        return Text(f"{value:.3f}{curve}{best}")


def duration(seconds: float) -> str:
    """Give a time as people read it: 3:07, 1:02:09."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
