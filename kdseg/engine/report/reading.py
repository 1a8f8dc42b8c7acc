"""A run's folder as a report sees it: all that is there, and nothing that must be."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from kdseg.engine.folders.run_folder import ENVIRONMENT, LOG, RECIPE, SUMMARY, find_run
from kdseg.engine.report.metrics import Metrics, read_all
from kdseg.errors import KdsegError, one_line

if TYPE_CHECKING:
    from pathlib import Path

ENDED = "the run ended: "
"""How the log says by what error a run ended."""
LOG_LINES = 300
_BEGINS = ("resumed at step", "no checkpoint of this run")
"""How the log says that a run went on."""
_LOG_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ ([A-Z]+) (.*)")


@frozen(kw_only=True)
class LogLine:
    """A line of the log."""

    at: str
    level: str
    text: str


@frozen(kw_only=True, eq=False)
class ReadRun:
    """What a run's folder holds."""

    folder: Path
    recipe: dict[str, Any]
    """As saved: every key said; empty where it cannot be read."""
    recipe_text: str
    environment: dict[str, Any]
    summary: dict[str, Any]
    """Empty where the run is not finished."""
    metrics: Metrics
    log: tuple[LogLine, ...]
    """The last lines, and every warning and error."""
    error: str | None
    """What ended the run, where it is known."""
    notes: tuple[str, ...]
    """What could not be read."""

    @property
    def finished(self) -> bool:
        """Whether it took its last step."""
        return bool(self.summary)

    @property
    def name(self) -> str:
        """The recipe's name."""
        return str(self.recipe.get("name") or self.summary.get("name") or self.folder.parent.name)

    @property
    def seed(self) -> int:
        """The recipe's seed; 0 where it is not known."""
        seed = self.recipe.get("seed", 0)
        return seed if isinstance(seed, int) else 0

    @property
    def metric(self) -> str:
        """The score that judges."""
        return str(self.table("evaluate").get("metric") or self.summary.get("metric") or "miou")

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        """The participants as the recipe has them, by name."""
        return {name: spec for name, spec in self.table("models").items() if isinstance(spec, dict)}

    @property
    def terms(self) -> dict[str, dict[str, Any]]:
        """The terms as the recipe has them, by name."""
        return {name: spec for name, spec in self.table("terms").items() if isinstance(spec, dict)}

    @property
    def participants(self) -> dict[str, dict[str, Any]]:
        """What the summary says of each participant; of an unfinished run, their names alone."""
        told = self.summary.get("participants")
        told = told if isinstance(told, dict) else {}
        names = dict.fromkeys([*self.models, *told, *self.metrics.scores])
        return {name: found if isinstance(found := told.get(name), dict) else {} for name in names}

    def table(self, name: str) -> dict[str, Any]:
        """Give a table of the recipe; empty where there is none."""
        found = self.recipe.get(name)
        return found if isinstance(found, dict) else {}


def read_run(path: Path, error: BaseException | str | None = None) -> ReadRun:
    """Read a run's folder, finished or not.

    Args:
        path: the folder, or the one above it for its newest run.
        error: what ends the run at this moment.

    Raises:
        KdsegError: where there is no run.
    """
    folder = find_run(path)
    notes: list[str] = []
    text, recipe = _recipe(folder / RECIPE, notes)
    models, evaluate = recipe.get("models"), recipe.get("evaluate")
    metric = evaluate.get("metric") if isinstance(evaluate, dict) else None
    metrics = read_all(folder, models if isinstance(models, dict) else (), str(metric or "miou"))
    if metrics.damaged:
        notes.append(f"metrics.jsonl: {metrics.damaged} lines are damaged and left out")
    if metrics.every > 1:
        notes.append(f"metrics.jsonl is long: of its steps, one block in {metrics.every} was read")
    summary = _json(folder / SUMMARY, notes)
    log, ended = _log(folder / LOG, notes)
    said = error_text(error) if isinstance(error, BaseException) else error
    return ReadRun(
        folder=folder,
        recipe=recipe,
        recipe_text=text,
        environment=_json(folder / ENVIRONMENT, notes),
        summary=summary if said is None else {},
        metrics=metrics,
        log=log,
        error=said or (None if summary else ended),
        notes=tuple(notes),
    )


def error_text(error: BaseException) -> str:
    """Say what ended a run: a mistake of the user's as it is told, anything else with its sort."""
    return str(error) if isinstance(error, KdsegError) else f"{type(error).__name__}: {error}"


def _recipe(path: Path, notes: list[str]) -> tuple[str, dict[str, Any]]:
    import toml

    text = _text(path, notes)
    try:
        return text, toml.loads(text)
    except Exception as error:  # noqa: BLE001 (toml raises many sorts; a damaged recipe is shown as it is)
        notes.append(f"{path.name} is damaged: {one_line(error)}")
        return text, {}


def _json(path: Path, notes: list[str]) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        found = json.loads(_text(path, notes))
    except (ValueError, RecursionError) as error:
        notes.append(f"{path.name} is damaged: {one_line(error)}")
        return {}
    return found if isinstance(found, dict) else {}


def _text(path: Path, notes: list[str]) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        notes.append(f"{path.name} cannot be read: {error.strerror}")
        return ""


def _log(path: Path, notes: list[str]) -> tuple[tuple[LogLine, ...], str | None]:
    """Give the lines of the log that are shown, and what it says of the run's end."""
    lines: list[LogLine] = []
    ended = None
    for text in _text(path, notes).splitlines() if path.exists() else ():
        found = _LOG_LINE.fullmatch(text)
        if found is not None:
            lines.append(LogLine(at=found[1], level=found[2], text=found[3]))
        elif lines:
            lines[-1] = evolve(lines[-1], text=f"{lines[-1].text}\n{text}")
    for line in lines:
        if line.text.startswith(ENDED):
            ended = line.text.removeprefix(ENDED)
        elif ended is not None and line.text.startswith(_BEGINS):
            ended = None
    early = [line for line in lines[:-LOG_LINES] if line.level in ("WARNING", "ERROR")][-LOG_LINES:]
    return (*early, *lines[-LOG_LINES:]), ended
