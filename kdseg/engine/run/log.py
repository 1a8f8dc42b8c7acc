"""What a run logs, kept in its folder too."""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from kdseg.engine.folders.files import Lines
from kdseg.engine.report.reading import ENDED, error_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Write all that kdseg logs to a file, for as long as the context lasts, and what ends it, if that is an error."""
    log, handler = logging.getLogger("kdseg"), _LinesHandler(Lines(path))
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    try:
        yield
    except Exception as error:
        with suppress(OSError):  # it may be the disk that ends the run
            handler.emit(log.makeRecord(log.name, logging.ERROR, "", 0, ENDED + error_text(error), (), None))
        raise
    finally:
        log.removeHandler(handler)
        handler.lines.close()


class _LinesHandler(logging.Handler):
    """Writes to a file. What fails is raised: logging's own handlers would print a traceback and go on."""

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.add(self.format(record))
