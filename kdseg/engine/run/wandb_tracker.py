"""Weights & Biases."""

from __future__ import annotations

import logging
import os
from netrc import NetrcParseError, netrc
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import define

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from kdseg.recipe.schema import Wandb

    Image = npt.NDArray[np.uint8]

log = logging.getLogger(__name__)


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

    def picture(self, step: int, name: str, picture: Image, caption: str) -> None:
        """Show nothing yet."""

    def masks(self, step: int, name: str, images: Sequence[Image], masks: Mapping[str, Sequence[Image]]) -> None:
        """Show nothing yet."""

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
