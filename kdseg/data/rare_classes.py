"""Rare-class sampling: images that hold rare classes come more often, and crops keep those classes in view.

Hoyer et al. (DAFormer, 2111.14887): a class is drawn by P(c) = exp((1 - f_c) / T) / sum over the classes
that occur, f_c being its share of the labelled pixels; then one of the images that hold enough of it. Their code draws
a crop of the image up to ten times, until enough of the class is in view.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from kdseg.data.streams import numpy_generator
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from kdseg.data.samples import Sample


@frozen(kw_only=True, eq=False)
class RareClasses:
    """Draws the samples of an epoch by their classes. Made by `rare_classes`."""

    probabilities: npt.NDArray[np.float64]
    """C+1: of each class, and last, of the samples without a labelled pixel, which keep their share."""
    samples: tuple[npt.NDArray[np.int64], ...]
    """C+1: the indices of those that may be drawn for each, one as likely as another."""
    length: int
    """Of an epoch: the number of samples."""
    min_crop_share: float
    attempts: int

    def epoch(self, seed: int, epoch: int) -> list[tuple[int, int, int, int]]:
        """Draw an epoch, with replacement; it follows from the seed and the epoch alone.

        Returns:
            The epoch, a sample's index, its position in the epoch, and the class that it was drawn for: what `view`
            takes.
        """
        numbers = numpy_generator(seed, "rare-classes", epoch)
        classes = numbers.choice(len(self.probabilities), self.length, p=self.probabilities)
        places = numbers.integers(np.array([len(indices) for indices in self.samples])[classes])
        return [
            (epoch, int(self.samples[number][place]), position, number)
            for position, (number, place) in enumerate(zip(classes.tolist(), places.tolist(), strict=True))
        ]

    def view(
        self, sample: Sample, augmentation: Callable[[Sample, int, int], Sample], epoch: int, position: int, wanted: int
    ) -> Sample:
        """Augment a sample until enough of the class that it was drawn for is in view.

        Enough is the share `min_crop_share` of the view's pixels or, where it is smaller, the class's share of the
        whole sample, so that without a crop the first attempt does. Where no attempt shows enough, the one that shows
        most stays. Each is a pure function of the epoch, the position and its number.
        """
        enough = min(self.min_crop_share, _share(sample, wanted))
        best: Sample | None = None
        for attempt in range(self.attempts):
            view = augmentation(sample, epoch, position * self.attempts + attempt)
            if best is None or _share(view, wanted) > _share(best, wanted):
                best = view
            if _share(best, wanted) >= enough:
                break
        assert best is not None  # attempts is 1 or more
        return best


def rare_classes(
    labelled_pixels: npt.NDArray[np.int64],
    pixels: npt.NDArray[np.int64],
    *,
    temperature: float,
    min_share: float,
    min_crop_share: float,
    attempts: int,
) -> RareClasses:
    """Prepare the draws.

    A class that fills more than `min_share` of no sample is drawn from all that hold it. A class that occurs nowhere is
    never drawn.

    Args:
        labelled_pixels: N×C, of each sample and class.
        pixels: N, of each sample, with the ignored ones.
        temperature: T above; the smaller, the more often the rarest classes come.
        min_share: of a sample's pixels, that a class must exceed for the sample to be drawn for it.
        min_crop_share: of the pixels in view, that the class must reach.
        attempts: augmentations of a sample, at most, to find such a view; 1 or more.

    Raises:
        KdsegError: no sample has a labelled pixel.
    """
    totals = labelled_pixels.sum(0)
    if not totals.any():
        raise KdsegError("data.rare_classes: follows from the training labels, and there are none; leave the table out")
    exponents = np.where(totals > 0, (1 - totals / totals.sum()) / temperature, -np.inf)
    chances = np.exp(exponents - exponents.max())
    enough = labelled_pixels > min_share * pixels[:, None]
    chosen = np.where(enough.any(0), enough, labelled_pixels > 0)
    unlabelled = labelled_pixels.sum(1) == 0
    return RareClasses(
        probabilities=np.append(chances / chances.sum() * (1 - unlabelled.mean()), unlabelled.mean()),
        samples=tuple(np.flatnonzero(column) for column in np.column_stack([chosen, unlabelled]).T),
        length=len(pixels),
        min_crop_share=min_crop_share,
        attempts=attempts,
    )


def _share(sample: Sample, wanted: int) -> float:
    """Give the share of a sample's pixels that are of a class; a number that is no class has none."""
    assert sample.mask is not None  # augmentations give one, and take labelled samples
    return np.count_nonzero(sample.mask == wanted) / sample.mask.size
