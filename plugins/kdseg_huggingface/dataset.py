"""The dataset as recipes see it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from attrs import field, frozen
from attrs.validators import optional

from kdseg.mask_values.by_values import ByValues

if TYPE_CHECKING:
    from typing import Any

    from attrs import Attribute

    from kdseg import DatasetContext, Samples

_SPLITS = ("train", "val", "test")


def _of_splits(_: Any, __: Attribute[dict[str, str]], value: dict[str, str]) -> None:
    for name in value:
        if name not in _SPLITS:
            raise ValueError(f"no split is called {name!r}; there are {', '.join(_SPLITS)}")


def _files(_: Any, __: Attribute[str], value: str) -> None:
    if value and "{split}" not in value:
        raise ValueError(f"{value!r} would be the same images for every split; write {{split}} where its name stands")


def _name(_: Any, __: Attribute[str | None], value: str) -> None:
    if not re.fullmatch(r"([\w-][\w.-]*/)?[\w-][\w.-]*", value):
        raise ValueError(f"{value!r} is no dataset's name, as owner/name is; for a folder say root")


@frozen(kw_only=True)
class HuggingFace(ByValues):
    """A dataset of Hugging Face's library: a column of images and one of masks, on this disk.

    It is in a folder, or in the library's caches by its name there. Nothing is ever fetched, and no script of a
    dataset is run. Masks are PNG or another lossless format, as the dataset `folder` takes them. Images are
    turned as their EXIF data say, as the library itself does.
    """

    name: ClassVar[str] = "huggingface"
    requires: ClassVar[tuple[str, ...]] = ("datasets>=5.2",)
    splits: ClassVar[tuple[str, ...]] = _SPLITS

    root: Annotated[
        Path | None, "what save_to_disk wrote of a DatasetDict, or the folder that `files` are relative to"
    ] = None
    repo: Annotated[
        str | None, "or a dataset's name, `owner/name`, which load_dataset or `hf download` left in the caches"
    ] = field(default=None, validator=optional(_name))
    config: Annotated[str | None, "of `repo`: which of its configurations, where there are several"] = None
    files: Annotated[
        str,
        "a glob of parquet files, where they are the dataset: `data/{split}-*.parquet`; default with `repo`: all",
    ] = field(default="", validator=_files)
    split_names: Annotated[
        dict[str, str], 'what the splits are called there: { val = "test" }; default: train, validation or val, test'
    ] = field(factory=dict, validator=_of_splits)
    image: Annotated[str, "the column of images"] = "image"
    mask: Annotated[str, 'the column of masks; "" where the images have no labels'] = "mask"

    def __attrs_post_init__(self) -> None:
        """Refuse two places, or none."""
        if (self.root is None) == (self.repo is None):
            raise ValueError("root or repo must say where the dataset is: one of the two")
        if self.config is not None and (self.repo is None or self.files):
            raise ValueError("config is one of the configurations of repo; files says itself where they are")

    def words(self, split: str) -> tuple[str, ...]:
        """Give what a split may be called there."""
        return (self.split_names[split],) if split in self.split_names else _WORDS[split]

    def build(self, ctx: DatasetContext) -> Samples:
        """Open a split.

        Raises:
            KdsegError: it is not there, or lacks a column.
        """
        from kdseg_huggingface.samples import open_split

        return open_split(self, ctx.split)


_WORDS = {"train": ("train",), "val": ("validation", "val"), "test": ("test",)}
