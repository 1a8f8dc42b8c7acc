"""One run as the parts of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdseg.engine.report.classes import class_tables
from kdseg.engine.report.confusion import read_confusion
from kdseg.engine.report.facts import lessons, participants_of, state_of, turns_told, verdicts
from kdseg.engine.report.metrics import finite
from kdseg.engine.report.pictures import count_more, read_pictures
from kdseg.engine.report.recipe_text import marked
from kdseg.engine.report.run_charts import run_charts
from kdseg.engine.report.timing import timing_of
from kdseg.engine.report.turns import turns_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdseg.engine.report.facts import Participant
    from kdseg.engine.report.reading import ReadRun


def run_parts(run: ReadRun) -> dict[str, Any]:
    """Give what the template of a run's page shows."""
    participants = participants_of(run)
    state, told = state_of(run)
    confusions = {
        one.name: read_confusion(run.folder, one.name) for one in sorted(participants, key=lambda one: not one.heard)
    }
    dropped = run.summary.get("dropped_callbacks")
    dropped = dropped if isinstance(dropped, dict) else {}
    told_already = {f"callbacks.{label}: {what}; the run goes on without it" for label, what in dropped.items()}
    return {
        "title": run.name,
        "run": run,
        "state": state,
        "state_told": told,
        "lessons": lessons(participants, turns_told(run)),
        "verdicts": verdicts(participants, run.metric),
        "participants": participants,
        "facts": _facts(run),
        "turns": turns_of(run, participants),
        "groups": run_charts(run, participants),
        "tables": class_tables(run, participants),
        "confusions": {name: found for name, found in confusions.items() if found is not None},
        "more_series": count_more(run.folder),
        "series": read_pictures(run.folder, _described(run, participants)),
        "timing": timing_of(run),
        "dropped": dropped,
        "lost": {name: number for name, number in run.metrics.lost.items() if not name.startswith("val/")},
        "warnings": [line for line in run.log if line.level not in ("INFO", "DEBUG") and line.text not in told_already],
        "environment": [*_environment(run)],
        "recipe": marked(run.recipe_text),
    }


def _facts(run: ReadRun) -> dict[str, Any]:
    """Give the numbers of a run as a whole."""
    read = run.metrics.first.total + sum(one.total for one in run.metrics.seconds.values())
    known = finite(run.summary.get("seconds"))
    return {
        "steps": run.summary.get("steps", run.metrics.last_step),
        "seconds": known or read * run.metrics.scale or None,
        "about": not known and run.metrics.every > 1,
        "begun": run.log[0].at if run.log else None,
        "batch_size": run.table("train").get("batch_size"),
        "device": _device(run),
    }


def _device(run: ReadRun) -> str | None:
    hardware = run.environment.get("hardware")
    hardware = hardware if isinstance(hardware, dict) else {}
    found = next((hardware[key] for key in ("gpus", "gpu", "device", "cpu") if hardware.get(key)), None)
    return ", ".join(map(str, found)) if isinstance(found, list) else None if found is None else str(found)


def _described(run: ReadRun, participants: tuple[Participant, ...]) -> dict[str, tuple[str, str]]:
    """Give a title for each series of pictures that kdseg makes itself, and what it shows."""
    columns = ", ".join(["image", "truth", *(f"prediction of {one.name}" for one in participants)])
    shown = f"a validation image in each row; columns: {columns}"
    found = {"comparison": ("Predictions at the end of the run", shown)}
    for label, callback in run.table("callbacks").items():
        used = callback.get("use") if isinstance(callback, dict) else callback
        if str(used).rpartition("/")[2] == "gallery":
            found[label] = ("Gallery" if label == "gallery" else f"Gallery {label}", shown)
    return found


def _environment(run: ReadRun) -> Iterator[tuple[str, str]]:
    """Give what the run ran on, line by line."""
    for key, value in run.environment.items():
        if key == "plugins" and isinstance(value, list):
            alike: dict[str, list[str]] = {}
            for plugin in value:
                if isinstance(plugin, dict):
                    origin = " ".join(str(plugin.get(part, "")) for part in ("distribution", "version", "status"))
                    alike.setdefault(origin, []).append(str(plugin.get("name", "")))
            yield from ((f"plugins of {origin}", ", ".join(names)) for origin, names in alike.items())
        elif isinstance(value, dict):
            for name, item in value.items():
                yield (
                    (str(name) if key in ("packages", "hardware") else f"{key} {name}").replace("_", " "),
                    _shown(item),
                )
        else:
            yield key.replace("_", " "), _shown(value)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return ", ".join(map(_shown, value)) if isinstance(value, list) else str(value)
