"""What a dataset hands over: samples and the table of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

IGNORE_INDEX = 255
"""Mask value of a pixel that counts nowhere: in no loss, gradient or metric."""


@frozen(kw_only=True)
class ClassTable:
    """The classes of a dataset, in the order of their train indices."""

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    """RGB, 0..255, one a class."""
    categories: tuple[str, ...] = ()
    """The group of each class ("vehicle"), or empty where the dataset has none."""

    def __attrs_post_init__(self) -> None:
        """Refuse a table whose columns differ in length."""
        if len(self.colours) != len(self.names) or len(self.categories) not in (0, len(self.names)):
            raise ValueError(
                f"a class table needs one colour, and one category or none at all, for each of its {len(self.names)} "
                f"names; found {len(self.colours)} colours and {len(self.categories)} categories"
            )

    def __len__(self) -> int:
        """Give the number of classes."""
        return len(self.names)

    def of(self, classes: Sequence[int]) -> ClassTable:
        """Give some of them, in the order of their indices."""
        return ClassTable(
            names=tuple(self.names[n] for n in classes),
            colours=tuple(self.colours[n] for n in classes),
            categories=tuple(self.categories[n] for n in classes) if self.categories else (),
        )


@frozen(kw_only=True, eq=False)
class Sample:
    """One image with its labels."""

    image: npt.NDArray[np.uint8]
    """H×W×3, RGB, 0..255."""
    mask: npt.NDArray[np.uint8] | None
    """H×W, train indices with `IGNORE_INDEX` for ignored pixels; None where the image is unlabelled."""
    id: str
    """Stable over runs and machines, unique within the split."""
    extras: Mapping[str, Any] = field(factory=dict)
    """More about the image, by name (instance ids, say)."""


class Samples(Protocol):
    """The samples of one split, by index: each a pure function of the index, cheap to pickle into a worker."""

    def __len__(self) -> int:
        """Give the number of samples."""
        ...

    def __getitem__(self, index: int, /) -> Sample:
        """Give one sample."""
        ...


@frozen
class Defect:
    """Something wrong with a file of a dataset."""

    file: Path
    text: str
    """What is wrong, and what would be right, to follow the file's name: "has no mask of the same name"."""

    def __str__(self) -> str:
        """Tell it as an error does."""
        return f"{self.file}: {self.text}"


class FileSamples(Samples, Protocol):
    """Samples that lie in files. What can be kept of them, is kept by their files' names, sizes and times."""

    files: Sequence[tuple[Path, ...]]
    """What each sample is read from, its image first."""
    defects: Sequence[Defect]
    """What was wrong already in the listing: an image without a mask, two files of one name. Those samples are left
    out, and no run begins while there are any."""
