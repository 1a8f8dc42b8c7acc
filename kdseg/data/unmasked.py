"""Samples whose masks, where they have any, are not looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from attrs import evolve, frozen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kdseg.data.samples import Defect, FileSamples, Sample, Samples


@frozen(eq=False)
class Unmasked:
    """Samples without their masks."""

    samples: Samples

    def __len__(self) -> int:
        """Give their number."""
        return len(self.samples)

    def __getitem__(self, index: int, /) -> Sample:
        """Give one without its mask."""
        return evolve(self.samples[index], mask=None)


@frozen(eq=False)
class UnmaskedFiles(Unmasked):
    """Such samples that lie in files."""

    samples: FileSamples

    @property
    def files(self) -> Sequence[tuple[Path, ...]]:
        """What each is read from."""
        return self.samples.files

    @property
    def defects(self) -> Sequence[Defect]:
        """What was wrong in the listing."""
        return self.samples.defects


def unmasked(samples: Samples) -> Samples:
    """Give samples without their masks; those that lie in files still tell so."""
    return UnmaskedFiles(cast("FileSamples", samples)) if hasattr(samples, "files") else Unmasked(samples)
