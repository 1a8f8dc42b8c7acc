"""`kdseg report RUN…`: one page that tells of a run, or holds several against each other."""

from __future__ import annotations

from pathlib import Path

import click

from kdseg.errors import display_path


@click.command(short_help="One page that tells of a run, or compares several.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
    help="The file. RUN/report.html of one run, report.html here of several, if left out.",
)  # fmt: skip
def command(runs: tuple[Path, ...], output: Path | None) -> None:
    """Write one HTML file that tells of a run: curves, classes, confusions, pictures, timing, recipe, log.

    RUN is a run's folder, or the folder above it for its latest run; finished or not. Several are held against the
    first, seeds of one recipe together. A sweep's folder stands for all its runs, a folder of runs for the newest of
    each. The file needs no network and nothing beside it.
    """
    from kdseg.engine.folders.files import disk_told
    from kdseg.engine.folders.run_folder import REPORT
    from kdseg.engine.report.named import named_runs
    from kdseg.engine.report.write import write_report

    found = named_runs(runs)
    path = output or (found[0] / REPORT if len(found) == 1 else Path(REPORT))
    with disk_told(path, "give another place: --output FILE"):
        write_report(found, path)
    click.echo(display_path(path))
