"""Images, and what is known of their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import field, frozen

from kdseg.components.base import Component

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kdseg.data.samples import ClassTable, Samples
    from kdseg.data.submission import Submission
    from kdseg.proposals import Proposal


@frozen(kw_only=True)
class DatasetContext:
    """Which samples are wanted."""

    split: str
    seed: int
    """For datasets that draw their samples: `data.seed`, else the recipe's seed."""
    data_seed: int | None = None
    """`data.seed` where the recipe says it: for datasets whose samples stay the same whatever the recipe's seed is."""
    extras: tuple[str, ...] = ()
    """What `Sample.extras` must hold where the dataset has it: what the metrics that judge the split ask for."""
    by_split: Mapping[str, Dataset] = field(factory=dict)
    """The dataset of each split, where a recipe gives some of them options of their own."""


class Dataset(Component):
    """Labelled images.

    `build` gives the samples of one split. What is wrong with the files (a missing folder, an image without its
    mask) is raised as `KdsegError`, naming the file and the mend.
    """

    splits: ClassVar[tuple[str, ...]] = ("train", "val")
    draws: ClassVar[bool] = False
    """Whether its samples are drawn: each `data.seed` of a recipe gives other images of the same kind."""
    submission: ClassVar[Submission | None] = None
    """How its benchmark takes predictions: what ``kdseg predict --format NAME`` writes, NAME being the dataset's."""

    def build(self, ctx: DatasetContext) -> Samples:
        """Give the samples of the split `ctx.split`, one of `splits`."""
        raise NotImplementedError

    def class_table(self) -> ClassTable:
        """Give the classes, without touching the disk."""
        raise NotImplementedError

    @classmethod
    def propose(cls, folder: Path) -> Proposal | None:  # noqa: ARG003 (a default for datasets of one layout)
        """Say how it would read a folder, for ``kdseg init``; None where it could not.

        Raises:
            KdsegError: it could, if something there were mended.
        """
        return None


@frozen(kw_only=True)
class ClassShares:
    """How often each class occurs among the training labels; ignored pixels count nowhere."""

    pixels: tuple[int, ...]
    """Labelled pixels of each class."""
    pixels_where_present: tuple[int, ...]
    """Labelled pixels, of any class, in the images that hold the class."""
    images: tuple[int, ...]
    """Images that hold the class."""

    def of(self, classes: Sequence[int]) -> ClassShares:
        """Give those of some classes, in their order."""
        pixels, where, images = (
            tuple(counts[number] for number in classes)
            for counts in (self.pixels, self.pixels_where_present, self.images)
        )
        return ClassShares(pixels=pixels, pixels_where_present=where, images=images)
