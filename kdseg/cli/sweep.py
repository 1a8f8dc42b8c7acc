"""`kdseg sweep FILE`: a study of many runs, with a table and a picture at the end."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from kdseg.cli._tables import print_rows
from kdseg.errors import KdsegError, display_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg.engine.study.checks import Row
    from kdseg.engine.study.conduct import Conducted
    from kdseg.engine.study.sweep_file import SweepFile


@click.command(short_help="Compare recipes over seeds and grids.")
@click.argument("file")
@click.option(
    "--jobs", type=click.IntRange(1, 256), help="Runs at once. As the file says, if left out; else one a GPU."
)
@click.option("--dry-run", is_flag=True, help="Check everything and list the runs; train nothing.")
@click.option("--search", type=click.IntRange(min=1), metavar="N", help="Let Optuna try N points of each arm's grid.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def command(file: str, jobs: int | None, dry_run: bool, search: int | None, as_json: bool) -> None:
    """Train every arm of a study with every seed, and compare them.

    FILE is a TOML file with a table [sweep], or the name of a bundled one such as alternation_study. Runs that are
    finished are not made again, so the same command goes on after a kill. Exit status 1: a run failed; the table says
    which.
    """
    from kdseg.engine.study.sweep_file import read_sweep

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise KdsegError("kdseg sweep starts its runs itself: leave `accelerate launch` out")
    read = read_sweep(file)

    from kdseg.cli._console import console_with_log
    from kdseg.engine.study.children import jobs_here
    from kdseg.engine.study.conduct import checked_rows, run_sweep
    from kdseg.engine.study.search import first_points, optuna_here, search_sweep
    from kdseg.engine.study.table import text_score
    from kdseg.engine.study.watch import ConsoleWatch

    if search is not None:
        optuna_here()
    rows = checked_rows(read) if search is None else first_points(read)
    if dry_run:
        _print_plan(read, rows, as_json=as_json)
        return
    console = console_with_log()
    for warning in dict.fromkeys(f"{row.label}: {warning}" for row in rows for warning in row.warnings):
        console.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)
    at_once = jobs or read.sweep.jobs or jobs_here()

    def watch(rows: Sequence[Row]) -> ConsoleWatch:
        return ConsoleWatch(
            console,
            display_path(read.folder),
            {row.label: row.costs for row in rows},
            at_once,
            go_on=f"kdseg sweep {display_path(read.path)}",
            score=lambda run: text_score(read, rows, run),
        )

    done = run_sweep(read, rows, watch(rows), at_once) if search is None else search_sweep(read, search, watch, at_once)
    _print_table(read, done, as_json=as_json)
    if done.failures:
        sys.exit(1)


def _print_plan(read: SweepFile, rows: Sequence[Row], *, as_json: bool) -> None:
    """Print the runs that would be made, and which are there."""
    from kdseg.engine.folders.files import json_text
    from kdseg.engine.study.conduct import run_states
    from kdseg.engine.study.planned import in_order

    states = run_states(in_order(run for row in rows for run in row.variant.runs), {})
    if as_json:
        costs = {row.label: {"steps": dict(row.costs.steps), "flops": row.costs.flops} for row in rows}
        click.echo(json_text({"folder": str(read.folder), "rows": costs, "runs": states}, indent=2))
        return
    missing = sum(state["state"] != "finished" for state in states)
    click.echo(f"{display_path(read.folder)}: {len(states)} runs, {missing} of them to be made")
    print_rows("arms", [_arm(row) for row in rows])
    print_rows(
        "runs",
        [(state["name"], state["state"], "" if state["folder"] is None else str(state["folder"])) for state in states],
    )


def _arm(row: Row) -> tuple[str, ...]:
    steps = ", ".join(f"{name} {count}" for name, count in row.costs.steps.items())
    before = ", ".join(f"{name} {count}" for name, count in row.costs.before.items())
    return (row.label, f"steps: {steps}", f"trained before: {before}" if before else "")


def _print_table(read: SweepFile, done: Conducted, *, as_json: bool) -> None:
    from kdseg.engine.folders.files import json_text
    from kdseg.engine.study.conduct import PAGE, PICTURE, TABLE
    from kdseg.engine.study.table import text_notes, text_rows

    if as_json:
        click.echo(json_text(done.table, indent=2))
        return
    print_rows(f"{read.name}: {done.table['metric']} of {done.table['rows'][0]['learner']}", text_rows(done.table))
    for note in text_notes(done.table):
        click.echo(note)
    folder = display_path(read.folder)
    places: list[tuple[Any, ...]] = [
        ("picture", f"{folder}/{PICTURE}"),
        ("table", f"{folder}/{PAGE}, {TABLE}"),
        ("all runs on one page", f"kdseg report {folder}"),
    ]
    print_rows("where", places)
