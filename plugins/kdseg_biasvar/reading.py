"""Trials read one after the other, in chunks of valid pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from torch import Tensor

from kdseg import IGNORE_INDEX, KdsegError, boundary
from kdseg_biasvar.pixel_sums import PixelSums

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import torch

    from kdseg_biasvar.design import Design

CHUNK = 1 << 15
"""Pixels that are calculated with at once: of 19 classes, 5 MB for each float64 copy, which a CPU's cache holds."""


@frozen(eq=False)
class Chunk:
    """Some of the valid pixels of one image."""

    image: int
    """Its place in the batch."""
    places: Tensor
    """Of the pixels in the flattened image."""
    pixels: slice
    """Their places among all valid pixels of the batch."""
    labels: Tensor
    cells: Tensor
    """Class · 2, and 1 more at a boundary."""


@frozen
class Place:
    """Where a trial stands."""

    arm: int
    sample: int
    seed: int

    def trial(self, design: Design) -> int:
        """Give its number within the arm."""
        return self.sample * design.seeds + self.seed


def chunks_of(target: Tensor, classes: int, radius: int) -> list[Chunk]:
    """Divide a batch of masks N×H×W into chunks.

    Raises:
        KdsegError: a mask holds a label that is none.
    """
    edges = boundary(target, radius)
    found: list[Chunk] = []
    begin = 0
    for image, (mask, edge) in enumerate(zip(target.flatten(1), edges.flatten(1), strict=True)):
        valid = (mask != IGNORE_INDEX).nonzero()[:, 0]
        for places in valid.split(CHUNK):
            labels = mask[places].long()
            if len(labels) and int(labels.max()) >= classes:
                raise KdsegError(
                    f"a mask holds the label {int(labels.max())}; labels go from 0 to {classes - 1}, and "
                    f"{IGNORE_INDEX} is ignored"
                )
            pixels = slice(begin, begin + len(places))
            found.append(Chunk(image, places, pixels, labels, 2 * labels + edge[places]))
            begin += len(places)
    return found


def places_of(designs: Sequence[Design], *, reference: bool) -> list[Place | None]:
    """Give each trial's place in the order in which they come; None is the reference's."""
    places = [
        Place(arm, sample, seed)
        for arm, design in enumerate(designs)
        for sample in range(design.samples)
        for seed in range(design.seeds)
    ]
    return [None, *places] if reference else [*places]


def read(
    trials: Iterable[Tensor], places: Sequence[Place | None], chunks: Sequence[Chunk], classes: int
) -> Iterator[tuple[Place | None, Chunk, PixelSums]]:
    """Read all trials once, and give each one's sums at each chunk.

    Raises:
        KdsegError: a trial knows another number of classes.
        ValueError: the number of trials is not the one promised.
    """
    seen, count = 0, len(places)
    for logits in trials:
        if seen < count:
            if logits.shape[1] != classes:
                raise KdsegError(
                    f"trial {seen + 1} of {count} predicts {logits.shape[1]} classes; the images have {classes}"
                )
            for chunk in chunks:
                yield places[seen], chunk, PixelSums.of_trial(logits[chunk.image].flatten(1)[:, chunk.places])
        del logits  # else it would lie beside the next one
        seen += 1
    if seen != count:
        raise ValueError(f"{seen} trials came; {count} were promised")


class Samples:
    """Makes samples of trials: where several seeds share a training set, it keeps the sums of one sample."""

    def __init__(self, designs: Sequence[Design], classes: int, pixels: int, device: torch.device) -> None:
        self._designs = designs
        nested = any(design.seeds > 1 for design in designs)
        self._sums = PixelSums.zeros(classes, pixels if nested else 0, device)

    def complete(self, place: Place, chunk: Chunk, trial: PixelSums) -> PixelSums | None:
        """Take a trial; give its sample at the chunk's pixels where it is the last one of it."""
        seeds = self._designs[place.arm].seeds
        if seeds == 1:
            return trial.closed(1)
        sample = self._sums.at(chunk.pixels)
        if place.seed == 0:
            sample.clear()
        sample.add(trial)
        return sample.closed(seeds) if place.seed == seeds - 1 else None
