"""What a diagnostic found, on a terminal and in files."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from kdseg.cli._tables import print_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from kdseg.diagnostics import Findings

_EXACT = 1e-3
"""Smaller numbers would lose too many digits after four places."""


def print_findings(findings: Findings, heading: str) -> None:
    """Print the numbers, the tables, and what they say."""
    for title, rows in _sheets(findings, heading):
        print_rows(title, rows)
    for note in findings.notes:
        click.echo(f"\n{note}")


def write_findings(findings: Findings, folder: Path) -> tuple[str, list[Path]]:
    """Write the pictures and, as ``findings.json``, all else; give that file's text, and all files.

    Raises:
        KdsegError: a file cannot be written.
    """
    from kdseg.data.pictures import make_folder
    from kdseg.engine.folders.files import disk_told, json_text, write_whole
    from kdseg.engine.judge.diagnose import write_pictures

    pictures, file = write_pictures(findings, folder), folder / "findings.json"
    found = {
        "scalars": findings.scalars,
        "tables": findings.tables,
        "notes": list(findings.notes),
        "pictures": {label: str(picture) for label, picture in pictures.items()},
    }
    text = json_text(found, indent=2)
    make_folder(folder)
    with disk_told(folder, "when that is mended, ask again"):
        write_whole(file, lambda draft: draft.write_text(f"{text}\n", encoding="utf-8"))
    return text, [*pictures.values(), file]


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
