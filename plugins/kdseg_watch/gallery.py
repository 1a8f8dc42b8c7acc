"""Pictures of the same validation images, evaluation after evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.hooks import Hooks

if TYPE_CHECKING:
    from kdseg.hooks import RunView


class SaveGallery(Hooks):
    """Saves a comparison at each evaluation."""

    def __init__(self, label: str, images: int) -> None:
        self._label, self._images = label, images

    def on_evaluation_end(self, run: RunView) -> None:
        """Save image, truth and predictions side by side."""
        run.save_comparison(run.pictures / f"{self._label}-{run.step:08d}.png", self._images)
