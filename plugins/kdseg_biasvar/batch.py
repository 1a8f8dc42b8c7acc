"""A batch of images, seen by all trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from kdseg_biasvar.pixel_sums import PixelSums
from kdseg_biasvar.quantities import LEFT, QUANTITIES, at_pixels, ensembles
from kdseg_biasvar.reading import Samples, chunks_of, read
from kdseg_biasvar.run_sums import RunSums, by_cell, confusion

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from kdseg_biasvar.design import Design
    from kdseg_biasvar.reading import Chunk, Place

_LEFT, _WITHIN, _BETWEEN = (QUANTITIES.index(name) for name in (LEFT, "kl_within", "kl_between"))


class Batch:
    """What all trials say of the pixels of some images.

    Args:
        designs: of the arms.
        classes: C.
        target: N×H×W class indices.
        radius: of boundaries.
    """

    def __init__(self, designs: Sequence[Design], classes: int, target: Tensor, radius: int) -> None:
        self.classes, self._designs, self._device = classes, designs, target.device
        self.chunks = chunks_of(target, classes, radius)
        self.sums = [RunSums.zeros(len(target), classes, design, target.device) for design in designs]
        self.pixels = torch.zeros(len(target), classes, 2, dtype=torch.int64, device=target.device)
        for chunk in self.chunks:
            self.pixels[chunk.image] += torch.bincount(chunk.cells, minlength=2 * classes).view(classes, 2)
        self._count = self.chunks[-1].pixels.stop if self.chunks else 0
        self._reference: Tensor | None = None
        self.totals = [PixelSums.zeros(classes, self._count, target.device) for _ in designs]

    def reference_at(self, chunk: Chunk) -> Tensor | None:
        """Give the reference's log probabilities at some pixels, where there is one."""
        return None if self._reference is None else self._reference[:, chunk.pixels]

    def read_all(self, trials: Iterable[Tensor], places: Sequence[Place | None]) -> None:
        """Read the trials and add up what they say together."""
        samples = Samples(self._designs, self.classes, self._count, self._device)
        for place, chunk, trial in read(trials, places, self.chunks, self.classes):
            if place is None:
                if self._reference is None:
                    self._reference = trial.log_p.new_zeros(self.classes, self._count)
                self._reference[:, chunk.pixels] = trial.log_p
                continue
            predicted = trial.votes.max(0).indices
            number = place.trial(self._designs[place.arm])
            self.sums[place.arm].confusions[number] += confusion(chunk.labels, predicted, self.classes)
            sample = samples.complete(place, chunk, trial)
            if sample is not None:
                self.totals[place.arm].at(chunk.pixels).add(sample)
        for arm in range(len(self._designs)):
            self._reduce(arm)

    def _reduce(self, arm: int) -> None:
        design, sums = self._designs[arm], self.sums[arm]
        for chunk in self.chunks:
            totals = self.totals[arm].at(chunk.pixels)
            cells = self._by_cell(totals, design.samples, design.seeds, chunk)
            if design.samples == 2:  # noqa: PLR2004 (what varies without one of two is the seed alone)
                cells[..., _LEFT] = cells[..., _WITHIN]
            sums.images[chunk.image] += cells
            for number, predicted in enumerate(ensembles(totals), design.trials):
                sums.confusions[number] += confusion(chunk.labels, predicted, self.classes)

    def leave_out(self, trials: Iterable[Tensor], places: Sequence[Place | None]) -> None:
        """Read the trials again, and add up what they say without each sample in turn."""
        if not any(design.left_out for design in self._designs):
            return
        samples = Samples(self._designs, self.classes, self._count, self._device)
        for place, chunk, trial in read(trials, places, self.chunks, self.classes):
            if place is None or not self._designs[place.arm].left_out:
                continue
            sample = samples.complete(place, chunk, trial)
            if sample is not None:
                design, sums = self._designs[place.arm], self.sums[place.arm]
                rest = self.totals[place.arm].at(chunk.pixels).without(sample)
                cells = self._by_cell(rest, design.samples - 1, design.seeds, chunk)
                sums.left[place.sample] += cells
                spread = cells[..., _WITHIN] + cells[..., _BETWEEN]
                sums.images[chunk.image, ..., _LEFT] += spread / design.samples

    def _by_cell(self, sums: PixelSums, samples: int, seeds: int, chunk: Chunk) -> Tensor:
        """Give the sums over the chunk's pixels, C×2×Q."""
        values = at_pixels(sums, samples, seeds, chunk.labels, self.reference_at(chunk))
        return by_cell(values, chunk.cells, self.classes)
