"""TensorBoard."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from attrs import define, field

from kdseg.data.pictures import grid, overlay
from kdseg.engine.folders.run_folder import RECIPE
from kdseg.engine.run.trackers import Guard, numbers
from kdseg.errors import display_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]

FOLDER = "tensorboard"
FLUSH_SECONDS = 10
"""So often what is written comes to the disk, for those who watch."""


@define(eq=False)
class TensorBoardTracker:
    """Event files in the run's folder; a failure is told and ends them, not the run."""

    _run: Path
    _colours: Sequence[tuple[int, int, int]]
    _writer: Any = None
    _guard: Guard = field(factory=lambda: Guard("TensorBoard"))

    def go_on(self, step: int, lines: Iterable[tuple[str, int, Mapping[str, Any]]]) -> None:  # noqa: ARG002
        """Let readers drop what was written of later steps; of the others nothing is lost: see `settle`."""
        self._guard(lambda: self._open(step + 1))

    def log(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Write numbers; texts stay in the metrics file."""

        def write() -> None:
            for name, value in numbers(values):
                if name != "epoch" or kind == "step":  # which evaluations repeat
                    self._opened().add_scalar(name, value, step)

        self._guard(write)

    def picture(self, step: int, name: str, picture: Image, caption: str) -> None:  # noqa: ARG002 (none there)
        """Write a picture as ``pictures/NAME``."""
        self._guard(lambda: self._opened().add_image(f"pictures/{name}", picture, step, dataformats="HWC"))

    def masks(self, step: int, name: str, images: Sequence[Image], masks: Mapping[str, Sequence[Image]]) -> None:
        """Write masks as ``masks/NAME``: one picture, in which they lie over their images."""

        def write() -> None:
            rows = [
                [image, *(overlay(image, mask, self._colours) for mask in those)]
                for image, *those in zip(images, *masks.values(), strict=True)
            ]
            sheet = grid(rows, ["image", *masks])
            self._opened().add_image(f"masks/{name}", sheet, step, dataformats="HWC")

        self._guard(write)

    def settle(self) -> None:
        """Bring what is written to the disk."""
        if self._writer is not None:
            self._guard(self._writer.flush)

    def finish(self, *, complete: bool) -> str | None:  # noqa: ARG002 (the files are alike)
        """Close the file."""
        if self._writer is not None:
            self._guard(self._writer.close)
        return f"TensorBoard: tensorboard --logdir {shlex.quote(display_path(self._run / FOLDER))}"

    def _opened(self) -> Any:
        if self._writer is None:
            self._open(None)
        return self._writer

    def _open(self, purge_step: int | None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self._run / FOLDER), purge_step=purge_step, flush_secs=FLUSH_SECONDS)
        if not purge_step:  # the run begins
            recipe = (self._run / RECIPE).read_text(encoding="utf-8")
            self._writer.add_text("recipe", f"```toml\n{recipe}\n```", 0)
