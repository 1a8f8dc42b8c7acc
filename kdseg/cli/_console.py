"""Where progress and log lines go: standard error, so that standard output holds results alone."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def is_first_process() -> bool:
    """Whether this process, of those that a launcher started, is the one that speaks."""
    return os.environ.get("RANK", "0") == "0"


def console_with_log() -> Console:
    """Give the console for progress, and send kdseg's log lines through it, so that neither garbles the other."""
    from rich.console import Console

    console = Console(stderr=True)
    logger = logging.getLogger("kdseg")
    logger.setLevel(logging.INFO if is_first_process() else logging.ERROR)
    logger.propagate = False
    logger.handlers = [_ConsoleHandler(console)]
    return console


class _ConsoleHandler(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        self._console.print(prefix + record.getMessage(), markup=False, highlight=False, soft_wrap=True)
