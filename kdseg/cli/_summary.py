"""What a finished run prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdseg.cli._console import is_first_process
from kdseg.cli._tables import print_rows
from kdseg.errors import display_path

if TYPE_CHECKING:
    from kdseg.engine.run.summary import Finished


def print_finished(finished: Finished, *, as_json: bool) -> None:
    """Print the run's summary: a table and where everything lies, or JSON. Of several processes one prints."""
    if not is_first_process():
        return
    summary = finished.summary
    if as_json:
        from kdseg.engine.folders.files import json_text

        click.echo(json_text(summary, indent=2))
        return
    metric = summary["metric"]
    print_rows(
        f"{summary['name']}: {summary['steps']} steps in {_duration(summary['seconds'])}",
        [
            ("participant", "backbone", "parameters", "steps", metric, "pixel accuracy", f"best {metric}"),
            *(_row(name, participant, metric) for name, participant in summary["participants"].items()),
        ],
    )
    folder = display_path(Path(summary["folder"]))
    report = Path(summary["folder"]) / "report.html"
    print_rows(
        "where",
        [
            *([("report", f"{folder}/report.html", "all of it on one page, for a browser")] if report.exists() else []),
            ("models", f"{folder}/models", 'kdseg.load("RUN") gives one'),
            ("pictures", f"{folder}/pictures/comparison.png", "image, truth and predictions side by side"),
            ("numbers", f"{folder}/metrics.jsonl", "every step and evaluation"),
            ("recipe", f"{folder}/recipe.toml", "resolved; running it again gives the same run"),
        ],
    )


def _row(name: str, participant: dict[str, Any], metric: str) -> tuple[str, ...]:
    best = participant["best"]
    return (
        name,
        participant["backbone"],
        f"{participant['parameters'] / 1e6:.3f}M",
        str(participant["steps"]),
        f"{participant[metric]:.4f}",
        f"{participant['pixel_accuracy']:.4f}",
        "" if best is None else f"{best['value']:.4f} at step {best['step']}",
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s"
