"""Where progress and log lines go: standard error, so that standard output holds results alone."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console


def is_first_process() -> bool:
    """Whether this process, of those that a launcher started, is the one that speaks."""
    return os.environ.get("RANK", "0") == "0"


def console_with_log() -> Console:
    """Give the console for progress, and send kdseg's log lines through it, so that neither garbles the other."""
    from rich.console import Console

    console = Console(file=cast("IO[str]", _StandardError()))
    logger = logging.getLogger("kdseg")
    logger.setLevel(logging.INFO if is_first_process() else logging.ERROR)
    logger.propagate = False
    logger.handlers = [_ConsoleHandler(console)]
    return console


class _StandardError:
    """Standard error, for as long as anybody reads it: a closed terminal or pipe must not end a run."""

    def write(self, text: str) -> int:
        with _or_nowhere():
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with _or_nowhere():
            sys.stderr.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


@contextmanager
def _or_nowhere() -> Iterator[None]:
    """Let standard error lead nowhere once it fails, or Python would try again as it leaves."""
    try:
        yield
    except OSError:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (for as long as the process lives)


class _ConsoleHandler(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        self._console.print(prefix + record.getMessage(), markup=False, highlight=False, soft_wrap=True)
