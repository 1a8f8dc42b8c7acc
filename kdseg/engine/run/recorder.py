"""The numbers of a run: JSON lines always, trackers when the recipe asks."""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING, Any

from attrs import define, field

from kdseg.engine.folders.files import Lines, json_text
from kdseg.errors import display_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kdseg.engine.run.trackers import Tracker

log = logging.getLogger(__name__)


@define(eq=False)
class Recorder:
    """Writes a run's numbers. On processes that do not write, made without a file, it does nothing."""

    path: Path | None
    trackers: tuple[Tracker, ...] = ()
    _lines: Lines | None = field(init=False)

    @_lines.default
    def _open(self) -> Lines | None:
        return None if self.path is None else Lines(self.path)

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Add one line: `kind` says what of ("step", "evaluation"), `step` after how many optimizer steps."""
        if self._lines is None:
            return
        self._lines.add(json_text({"kind": kind, "step": step, **values}))
        for tracker in self.trackers:
            tracker.log(kind, step, values)

    def position(self) -> int:
        """Bring what is written to the disk, and give how many bytes it is: what a checkpoint notes."""
        for tracker in self.trackers:
            tracker.settle()
        return 0 if self._lines is None else self._lines.to_disk()

    def rewind(self, position: int, step: int = -1) -> None:
        """Drop all after `position`, where step number `step` was the last: a resumed run writes it again."""
        if self.path is None:
            return
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < position:
            log.warning("%s: has lost lines: %d bytes are left of %d", display_path(self.path), size, position)
            position = self.path.read_bytes().rfind(b"\n") + 1 if size else 0
        if size:
            os.truncate(self.path, position)
            for tracker in self.trackers:
                tracker.go_on(step, self._kept())

    def close(self, *, complete: bool = False) -> None:
        """Finish the file and the trackers, and say what people can do with those; `complete`: after the last step."""
        if self._lines is not None:
            self._lines.close()
        for tracker in self.trackers:
            told = tracker.finish(complete=complete)
            if told:
                log.info("%s", told)

    def _kept(self) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
        assert self.path is not None
        with self.path.open("rb") as file:
            for line in file:
                try:
                    values = json.loads(line)
                    yield values.pop("kind"), values.pop("step"), values
                except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                    continue  # damaged, by whatever: it is no worse than lost
