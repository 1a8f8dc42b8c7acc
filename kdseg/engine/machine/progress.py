"""How far a task is, where a person watches."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def counted(name: str, total: int) -> Iterator[Callable[[], None]]:
    """Show how many of a number of things are done, where a person watches; what is given is called after each."""
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=total)
        yield lambda: bar.advance(task)
