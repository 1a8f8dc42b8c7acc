"""The numbers of a run: JSON lines always, Weights & Biases when the recipe asks."""

from __future__ import annotations

import logging
import os
from netrc import NetrcParseError, netrc
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import define, field

from kdseg.engine.folders.files import Lines, json_text
from kdseg.errors import display_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kdseg.recipe.schema import Wandb

log = logging.getLogger(__name__)


@define(eq=False)
class Recorder:
    """Writes a run's numbers. On processes that do not write, made without a file, it does nothing."""

    path: Path | None
    tracker: WandbTracker | None = None
    _lines: Lines | None = field(init=False)

    @_lines.default
    def _open(self) -> Lines | None:
        return None if self.path is None else Lines(self.path)

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Add one line: `kind` says what of ("step", "evaluation"), `step` after how many optimizer steps."""
        if self._lines is None:
            return
        self._lines.add(json_text({"kind": kind, "step": step, **values}))
        if self.tracker is not None:
            self.tracker.log(step, values)

    def position(self) -> int:
        """Bring what is written to the disk, and give how many bytes it is: what a checkpoint notes."""
        return 0 if self._lines is None else self._lines.to_disk()

    def rewind(self, position: int) -> None:
        """Drop all after `position`: a resumed run writes it again."""
        if self.path is None:
            return
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < position:
            log.warning("%s: has lost lines: %d bytes are left of %d", display_path(self.path), size, position)
            position = self.path.read_bytes().rfind(b"\n") + 1 if size else 0
        if size:
            os.truncate(self.path, position)

    def close(self) -> None:
        """Finish the file and the tracker."""
        if self._lines is not None:
            self._lines.close()
        if self.tracker is not None:
            self.tracker.finish()


@define(eq=False)
class WandbTracker:
    """Weights & Biases through Accelerate. Offline unless logged in; a failure is told and ends it, not the run."""

    _tracker: Any

    @classmethod
    def start(cls, spec: Wandb, run: Path, config: dict[str, Any]) -> WandbTracker:
        """Begin, or go on with, the W&B run that belongs to the run's folder."""

        def begin() -> Any:
            from accelerate.tracking import WandBTracker

            os.environ.setdefault("WANDB_SILENT", "true")
            mode = os.environ.get("WANDB_MODE") or ("online" if _logged_in() else "offline")
            tracker = WandBTracker(
                spec.project,
                entity=spec.entity,
                name=spec.name or f"{run.parent.name}/{run.name}",
                tags=list(spec.tags),
                dir=str(run),
                id=f"{run.parent.name}-{run.name}",
                resume="allow",
                mode=mode,
                # Else it collects the program's arguments and the repository's remote: either may hold a token.
                settings={"x_disable_meta": True, "disable_git": True, "disable_code": True},
            )
            tracker.start()
            tracker.store_init_configuration(config)
            log.info("Weights & Biases: %s, project %s", mode, spec.project)
            return tracker

        self = cls(None)
        self._tracker = self._guard(begin)
        return self

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Send numbers; tables and texts stay in the local file."""
        numbers = {name: value for name, value in values.items() if isinstance(value, (int, float))}
        if self._tracker is not None:
            self._guard(lambda: self._tracker.log(numbers, step=step))

    def finish(self) -> None:
        """End the W&B run."""
        if self._tracker is not None:
            self._guard(self._tracker.finish)

    def _guard(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Exception as error:  # noqa: BLE001 (no tracker's failure may end a run; it is told, and the file has all)
            log.warning(
                "Weights & Biases stopped (%s: %s); the run's metrics.jsonl has every number",
                type(error).__name__,
                error,
            )
            self._tracker = None
            return None


def _logged_in() -> bool:
    """Whether a key lies ready, where `wandb login` puts it or in the environment: without one, wandb would ask."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, NetrcParseError):
        return False
