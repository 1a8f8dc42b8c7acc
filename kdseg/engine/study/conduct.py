"""A sweep from its file to its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from kdseg.data.pictures import write_image
from kdseg.engine.folders.files import disk_told, write_json, write_whole
from kdseg.engine.study.checks import check_sweep
from kdseg.engine.study.children import Children, jobs_here, study_lock
from kdseg.engine.study.picture import draw_table
from kdseg.engine.study.planned import in_order
from kdseg.engine.study.runs import plan_sweep
from kdseg.engine.study.table import make_table, markdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from kdseg.engine.study.checks import Row
    from kdseg.engine.study.children import Watch
    from kdseg.engine.study.planned import PlannedRun
    from kdseg.engine.study.sweep_file import SweepFile

STATE = "sweep.json"
TABLE = "table.json"
PAGE = "table.md"
PICTURE = "comparison.png"


@frozen(kw_only=True)
class Conducted:
    """A sweep that came to its end."""

    table: dict[str, Any]
    failures: Mapping[str, str]


def checked_rows(file: SweepFile) -> tuple[Row, ...]:
    """Give the rows of a sweep, everything about them checked; nothing is written.

    Raises:
        ProblemsError: with all that is wrong.
    """
    return check_sweep(file, plan_sweep(file))


def run_sweep(file: SweepFile, rows: Sequence[Row], watch: Watch, jobs: int | None = None) -> Conducted:
    """Make the runs that are not there, and write the table and the picture.

    Args:
        file: the sweep.
        rows: its rows.
        watch: is told of every run.
        jobs: how many at once; where None, as the file says.

    Raises:
        KdsegError: the folder cannot be written, or another process makes runs in it.
        SystemExit: after a signal, with a checkpoint of each run written.
    """
    runs = [run for row in rows for run in row.variant.runs]
    way_on = f"when that is mended, go on: kdseg sweep {file.path}"
    with disk_told(file.folder, way_on), study_lock(file.folder):
        children = Children(folder=file.folder, jobs=jobs or file.sweep.jobs or jobs_here(), watch=watch)
        try:
            children.make(runs)
        finally:
            write_state(file, runs, children.failures)
        return conclude(file, rows, children.failures)


def conclude(file: SweepFile, rows: Sequence[Row], failures: Mapping[str, str]) -> Conducted:
    """Write what the sweep came to."""
    table = make_table(file, rows, failures)
    write_json(file.folder / TABLE, table)
    write_whole(file.folder / PAGE, lambda draft: draft.write_text(markdown(table), encoding="utf-8"))
    picture = draw_table(table)
    write_whole(file.folder / PICTURE, lambda draft: write_image(draft, picture))
    return Conducted(table=table, failures=failures)


def write_state(file: SweepFile, runs: Iterable[PlannedRun], failures: Mapping[str, str]) -> None:
    """Write which runs there are and where they lie: for people and scripts, what is done is read off the runs."""
    write_json(file.folder / STATE, {"file": str(file.path), "runs": run_states(in_order(runs), failures)})


def run_states(runs: Iterable[PlannedRun], failures: Mapping[str, str]) -> list[dict[str, Any]]:
    """Say of each run whether it is there."""
    return [_state(run, run.finished(), failures.get(run.name)) for run in runs]


def _state(run: PlannedRun, folder: Path | None, failure: str | None) -> dict[str, Any]:
    return {
        "name": run.name,
        "row": run.label or None,
        "seed": run.seed,
        "recipe": str(run.file),
        "state": "finished" if folder is not None else "missing" if failure is None else "failed",
        "folder": None if folder is None else str(folder),
        "failure": failure,
    }
