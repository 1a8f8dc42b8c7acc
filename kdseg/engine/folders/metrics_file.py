"""The numbers that a run wrote, read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdseg.engine.folders.run_folder import METRICS, find_run
from kdseg.errors import KdsegError, display_path

if TYPE_CHECKING:
    from collections.abc import Iterator


def read_metrics(path: str | Path, kind: str | None = None) -> Iterator[dict[str, Any]]:
    """Give what a run has written so far to its metrics file, line by line, finished or not.

    Args:
        path: the run's folder, or the folder above it for its latest run.
        kind: give lines of this kind alone: "step", "evaluation" or "callback". Others are not even parsed, so the
            evaluations of a long run are found quickly.

    Yields:
        A line as written: its `kind`, the `step` after which it holds, and values by name. None is a value that was no
        number. A last line that is still being written is left out.

    Raises:
        KdsegError: where there is no run, or a line is damaged.
    """
    file = find_run(Path(path)) / METRICS
    opening = None if kind is None else f'{{"kind": {json.dumps(kind)},'.encode()
    try:
        lines = file.open("rb")
    except FileNotFoundError:
        return  # it has not come so far
    with lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return
            if opening is None or line.startswith(opening):
                try:
                    values = json.loads(line)
                except ValueError as error:
                    raise KdsegError(f"{display_path(file)}:{number}: this line is damaged: {error}") from error
                yield values
