"""Samples that lie in image files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from kdseg.data.image_files import read_beside_mask, read_ids, read_rgb
from kdseg.data.samples import Sample
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from kdseg.data.samples import Defect
    from kdseg.listing import Listing


class MaskReader(Protocol):
    """What knows the meaning of a dataset's masks."""

    def read(self, file: Path, /) -> npt.NDArray[np.uint8]:
        """Read a mask, H×W, as train indices.

        Raises:
            KdsegError: naming the file, where it is no mask, or holds what means nothing.
        """
        ...


@frozen(eq=False)
class ImageSamples:
    """The images of a split with their labels and, where they are listed, their instance ids."""

    ids: tuple[str, ...]
    files: tuple[tuple[Path, ...], ...]
    """Of each sample: its image, its mask unless it is unlabelled, its instance ids if they are wanted."""
    defects: tuple[Defect, ...]
    labels: MaskReader
    as_seen: bool = False
    """For somebody's own photographs: those without masks are turned as their EXIF data say, and one with a mask that
    would be turned is refused. Otherwise all are read as they are stored, which is how masks of benchmarks lie."""

    @classmethod
    def of(cls, listing: Listing, labels: MaskReader, *, as_seen: bool = False) -> ImageSamples:
        """Make samples of what was listed."""
        return cls(tuple(listing.files), tuple(listing.files.values()), listing.defects, labels, as_seen)

    def __len__(self) -> int:
        """Give the number of samples."""
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        """Read one sample.

        Raises:
            KdsegError: naming the file that cannot be read, or is not what the dataset's release holds.
        """
        image_file, *others = self.files[index]
        beside_mask = self.as_seen and others
        image = read_beside_mask(image_file) if beside_mask else read_rgb(image_file, upright=self.as_seen)
        mask, extras = None, {}
        if others:
            mask = self.labels.read(others[0])
            _same_size(mask, others[0], image)
        if others[1:]:
            extras["instances"] = read_ids(others[1])
            _same_size(extras["instances"], others[1], image)
        return Sample(image=image, mask=mask, id=self.ids[index], extras=extras)


def _same_size(found: npt.NDArray[Any], file: Path, image: npt.NDArray[Any]) -> None:
    if found.shape != image.shape[:2]:
        sizes = [f"{height}x{width}" for height, width, *_ in (found.shape, image.shape)]
        raise KdsegError(f"{file}: is {sizes[0]}, its image {sizes[1]}; they must be of one size")
