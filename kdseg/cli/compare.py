"""`kdseg compare RUN…`: runs held against the first, in a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kdseg.cli._tables import print_rows
from kdseg.errors import KdsegError, display_path

if TYPE_CHECKING:
    from kdseg.engine.report.comparison import Comparison


@click.command(short_help="Hold runs against the first.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def command(runs: tuple[Path, ...], as_json: bool) -> None:
    """Print the scores of several runs with their differences to the first, and what differs in their recipes.

    RUN is a run's folder, or the folder above it for its latest run; finished or not. Runs of one recipe with several
    seeds are taken together: differences are of the same seed, with 95 % intervals. A sweep's folder stands for all its
    runs, a folder of runs for the newest of each. `kdseg report` puts the same on a page.
    """
    from kdseg.engine.folders.files import json_text
    from kdseg.engine.report.comparison import compare
    from kdseg.engine.report.named import named_runs
    from kdseg.engine.report.reading import read_run

    found = named_runs(runs)
    if len(found) == 1:
        raise KdsegError(
            f"{display_path(found[0])}: there is but one run to compare; name others, or `kdseg report` tells of it"
        )
    comparison = compare([read_run(run) for run in found])
    if as_json:
        click.echo(json_text(comparison.data(), indent=2))
    else:
        _print(comparison)


def _print(comparison: Comparison) -> None:
    from kdseg.engine.report.comparison_text import recipe_rows, run_rows, score_rows

    print_rows("runs", run_rows(comparison))
    print_rows(f"scores, differences to {comparison.groups[0].label}", score_rows(comparison))
    if comparison.recipes:
        print_rows("what differs in the recipes", recipe_rows(comparison))
    for note in comparison.notes:
        click.echo(note)
    for note in (
        f"{display_path(run.folder)}: {note}" for group in comparison.groups for run in group.runs for note in run.notes
    ):
        click.echo(note)
