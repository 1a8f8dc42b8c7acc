"""The runs that a person names: folders of runs, folders above them, and those of sweeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdseg.engine.folders.run_folder import RECIPE, find_run
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SWEEP, _TABLE = "sweep.json", "table.json"


def named_runs(paths: Iterable[Path]) -> list[Path]:
    """Give the runs that paths name, each once.

    Args:
        paths: a run; the folder above it for its newest run; a sweep's folder for the runs of its table, those of the
            baseline first; or a folder of such folders, for the newest run of each.

    Raises:
        KdsegError: where a path holds no run.
    """
    return list(dict.fromkeys(run for path in paths for run in _runs(path)))


def _runs(path: Path) -> list[Path]:
    if not (path / RECIPE).exists() and (found := _of_sweep(path)):
        return found
    try:
        return [find_run(path)]
    except KdsegError:
        found = [run for folder in _folders(path) if (run := _newest(folder)) is not None]
        if not found:
            raise
        return found


def _of_sweep(path: Path) -> list[Path]:
    """Give the runs of a sweep's arms that were made."""
    runs = _read(path / _SWEEP).get("runs")
    baseline = _read(path / _TABLE).get("baseline")
    rows = [run for run in runs if isinstance(run, dict) and run.get("row")] if isinstance(runs, list) else []
    rows.sort(key=lambda run: str(run["row"]).partition(" ")[0] != baseline)
    found = [_of_row(path, run) for run in rows]
    return [run for run in found if run is not None]


def _of_row(path: Path, run: Mapping[str, Any]) -> Path | None:
    """Give the run that a sweep's table counts, where it lies now, wherever it was made; else the newest of its name.

    A newer one may be another, of an older state of the sweep's file or one that was not finished.
    """
    home, counted = path / "runs" / str(run.get("name")), run.get("folder")
    if isinstance(counted, str) and ((told := home / Path(counted).name) / RECIPE).exists():
        return told.resolve()
    return _newest(home)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _folders(path: Path) -> list[Path]:
    try:
        return sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.is_symlink())
    except OSError:
        return []


def _newest(folder: Path) -> Path | None:
    try:
        return find_run(folder)
    except KdsegError:
        return None
