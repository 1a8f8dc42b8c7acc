"""Writing a report."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kdseg.engine.folders.files import write_whole
from kdseg.engine.folders.run_folder import REPORT
from kdseg.engine.report.reading import read_run
from kdseg.engine.report.rendering import render
from kdseg.engine.report.run_page import run_parts
from kdseg.errors import display_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = logging.getLogger(__name__)


def write_report(runs: Sequence[Path], path: Path, *, error: BaseException | str | None = None) -> None:
    """Write one HTML file that tells of a run, or holds several against the first.

    Args:
        runs: folders of runs, or those above them for their newest; finished or not.
        path: the file.
        error: what ends the one run at this moment.

    Raises:
        KdsegError: where there is no run.
        OSError: with the path, where the disk refuses.
    """
    if len(runs) == 1:
        text = render("run.html.j2", run_parts(read_run(runs[0], error)))
    else:
        from kdseg.engine.report.comparison import compare
        from kdseg.engine.report.comparison_page import comparison_parts

        text = render("comparison.html.j2", comparison_parts(compare([read_run(run) for run in runs])))
    write_whole(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def report_run(folder: Path, error: BaseException | None = None) -> None:
    """Write the report of a run that ends now, into its folder. What goes wrong is told and harms nobody.

    Args:
        folder: the run's.
        error: what ends it. A signal is none: the run is to go on.
    """
    try:
        write_report([folder], folder / REPORT, error=error if isinstance(error, Exception) else None)
    except Exception as failure:  # noqa: BLE001 (a page about a run is not worth the run)
        if error is not None and isinstance(failure, OSError):
            return  # the disk that ended the run, most likely, and that is told
        try:
            log.warning("%s: no report was made: %s: %s", display_path(folder), type(failure).__name__, failure)
        except OSError:  # the log lies on the same disk
            return
