"""Tables for people on a terminal, plain aligned lines elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_rows(heading: str, rows: Sequence[Sequence[str]]) -> None:
    """Print a heading with rows of equal length below it, columns aligned, cells never read as markup.

    On a terminal all columns but the first wrap within the window; elsewhere each row is one line.
    """
    if sys.stdout.isatty():
        _print_rich(heading, rows)
        return
    click.echo(heading)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  " + "  ".join(cells).rstrip())


def _print_rich(heading: str, rows: Sequence[Sequence[str]]) -> None:
    """Print with rich."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for column in range(len(rows[0])):
        table.add_column(no_wrap=column == 0, overflow="fold")
    for first, *rest in rows:
        table.add_row(Text(first, style="cyan"), *map(Text, rest))
    console = Console()
    console.print(Text(heading, style="bold"))
    console.print(Padding(table, (0, 0, 0, 2)))
