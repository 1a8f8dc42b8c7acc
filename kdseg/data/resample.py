"""Training sets drawn from a split: parts that share nothing, or draws with replacement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from attrs import evolve, frozen

from kdseg.data.streams import numpy_generator
from kdseg.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from kdseg.data.samples import Defect, FileSamples, Sample, Samples

    Indices = npt.NDArray[np.int64]


def resample(
    count: int,
    *,
    seed: int,
    method: Literal["disjoint", "bootstrap", "blocks"],
    trial: int,
    trials: int,
    block: int = 1,
) -> Indices:
    """Give which of a split's images a trial trains on, in order; those drawn several times come several times.

    Args:
        count: the images of the split.
        seed: the data's.
        method: ``disjoint`` deals blocks of neighbours, in an order that all trials share, into parts that together are
            all. ``bootstrap`` draws as many images as there are, with replacement (Efron 1979). ``blocks`` draws runs
            of neighbours that may begin anywhere, and so overlap, until there are as many images: the moving block
            bootstrap (Künsch 1989, The Annals of Statistics 17, 1217-1241).
        trial: which of the training sets.
        trials: how many there are; without meaning for draws.
        block: neighbours that stay together; the last block of ``disjoint`` may be shorter.

    Raises:
        OptionError: there are fewer blocks than parts, or fewer images than one block draws.
    """
    if method == "disjoint":
        return _part(count, numpy_generator(seed, "resample"), trial, trials, block)
    generator = numpy_generator(seed, "resample", trial)
    if method == "bootstrap":
        return generator.integers(0, count, count) if count else np.arange(0)
    if block > count:
        raise OptionError([("block", f"must be {count} or less, the images of the training split: {block}")])
    starts = generator.integers(0, count - block + 1, -(-count // block))
    return (starts[:, None] + np.arange(block)).ravel()[:count]


def _part(count: int, generator: np.random.Generator, trial: int, trials: int, block: int) -> Indices:
    whole, rest = divmod(count, block)
    blocks = whole + (rest > 0)
    if blocks < trials:
        of = "" if block == 1 else f" in {blocks} blocks of {block}"
        raise OptionError(
            [("trials", f"must be {blocks} or less, as the training split has {count} images{of}: {trials}")]
        )
    order = generator.permutation(whole)
    if rest:  # the short block is dealt first, to a part of the most blocks: so sizes differ the least
        order = np.insert(order, 0, whole)
    mine = np.sort(order[trial::trials])
    indices = (mine[:, None] * block + np.arange(block)).ravel()
    return indices[indices < count]


def resampled(samples: Samples, indices: Indices) -> Resampled:
    """Give some of a split's samples; those that lie in files still tell so."""
    if hasattr(samples, "files"):
        return ResampledFiles(samples=cast("FileSamples", samples), indices=indices)
    return Resampled(samples=samples, indices=indices)


@frozen(kw_only=True, eq=False)
class Resampled:
    """Samples of a split by their indices there. One that comes again says so in its id, which stays unique."""

    samples: Samples
    """The whole split."""
    indices: Indices

    def __len__(self) -> int:
        """Give how many there are."""
        return len(self.indices)

    def __getitem__(self, index: int, /) -> Sample:
        """Give one of them."""
        sample = self.samples[int(self.indices[index])]
        before = np.count_nonzero(self.indices[:index] == self.indices[index])
        return evolve(sample, id=f"{sample.id} (draw {before + 1})") if before else sample


@frozen(kw_only=True, eq=False)
class ResampledFiles(Resampled):
    """Such samples that lie in files."""

    samples: FileSamples

    @property
    def files(self) -> Sequence[tuple[Path, ...]]:
        """What each is read from."""
        return [self.samples.files[index] for index in self.indices.tolist()]

    @property
    def defects(self) -> Sequence[Defect]:
        """What was wrong in the listing of the whole split."""
        return self.samples.defects
