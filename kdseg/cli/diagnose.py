"""`kdseg diagnose NAME RUN…`: a diagnostic over trained networks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from kdseg.cli._tables import print_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kdseg.diagnostics import Findings

_EXACT = 1e-3
"""Smaller numbers would lose too many digits after four places."""


@click.command(short_help="Look into trained networks.")
@click.argument("name")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--set", "settings", multiple=True, metavar="OPTION=VALUE",
    help="An option of the diagnostic and a TOML value, as radius=5. May be given again.",
)  # fmt: skip
@click.option("--split", default="val", show_default=True, help="Which split of the first run's dataset.")
@click.option(
    "--model", "models", multiple=True,
    help="Which participant of each run; given again, of each in order. The one named student, or the only one, if "
    "left out.",
)  # fmt: skip
@click.option("--which", type=click.Choice(["best", "last"]), default="best", show_default=True, help="Which weights.")
@click.option("--images", type=click.IntRange(min=1), help="How many, spread over the split. All, if left out.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Images at once. The recipe's, if left out.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("diagnosis"), show_default=True,
    help="Folder for the pictures.",
)  # fmt: skip
@click.option("--trust-code", is_flag=True, help="Run the Python file that came with a network, where one did.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def command(
    name: str,
    runs: tuple[Path, ...],
    settings: tuple[str, ...],
    split: str,
    models: tuple[str, ...],
    which: Literal["best", "last"],
    images: int | None,
    batch_size: int | None,
    output: Path,
    trust_code: bool,
    as_json: bool,
) -> None:
    """Run a diagnostic over trained networks, each a trial, on the same images.

    NAME is a diagnostic: `kdseg list-plugins` lists them, `kdseg show diagnostic NAME` tells its options. RUN is a
    run's folder, the folder above it for its latest run, or a copy of one of its models/NAME folders. The images are
    those of the first run's dataset.
    """
    from kdseg.cli._console import console_with_log, is_first_process
    from kdseg.engine.folders.files import json_text
    from kdseg.engine.judge.diagnose import diagnose, write_pictures

    findings = diagnose(
        name,
        runs,
        settings=settings,
        split=split,
        models=models,
        which=which,
        images=images,
        batch_size=batch_size,
        trust_code=trust_code,
        console=console_with_log(),
    )
    if not is_first_process():
        return
    if as_json:
        files = {label: str(file) for label, file in write_pictures(findings, output).items()}
        found = {"scalars": findings.scalars, "tables": findings.tables, "pictures": files}
        click.echo(json_text(found, indent=2))
        return
    for heading, rows in _sheets(findings, f"{name}, {split} split"):
        print_rows(heading, rows)
    for file in write_pictures(findings, output).values():  # after the numbers: a full disk takes none of those
        click.echo(file)


def _sheets(findings: Findings, heading: str) -> Iterator[tuple[str, Sequence[Sequence[str]]]]:
    """Give a heading and rows for the numbers, and for each table."""
    if findings.scalars:
        yield heading, [(name, _number(value)) for name, value in findings.scalars.items()]
    for name, table in findings.tables.items():
        columns = list(dict.fromkeys(column for row in table.values() for column in row))
        rows = [(label, *(_cell(row, column) for column in columns)) for label, row in table.items()]
        yield name, [("", *columns), *rows]


def _cell(row: Mapping[str, float], column: str) -> str:
    return _number(row[column]) if column in row else ""


def _number(value: float) -> str:
    """Write a number: a count without a point, a small one with an exponent."""
    if math.isnan(value):
        return "absent"
    if float(value).is_integer():
        return f"{value:.0f}"
    return f"{value:.4f}" if abs(value) >= _EXACT else f"{value:.1e}"
