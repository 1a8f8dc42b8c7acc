"""Which files of an unknown folder are images, which are their masks, and which splits have folders."""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import TYPE_CHECKING

from attrs import field, frozen

from kdseg import KdsegError
from kdseg.walk import PICTURES, is_folder, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

SPLIT = "{split}"
_SPLIT_OF = {
    "training": "train",
    "train": "train",
    "validation": "val",
    "valid": "val",
    "val": "val",
    "testing": "test",
    "test": "test",
}
"""What folders of splits are called, the longer words first."""
_SPLIT_PART = re.compile(rf"(.*[_-])?({'|'.join(_SPLIT_OF)})([_-].*|annot|masks?|labels?|images?)?")
_WORDS = (
    "masks?|labels?|labelids|labeltrainids|trainids?|gt|gtfine|gtcoarse|ground_?truth|seg|segmentation|"
    "segmentationclass|annot|annotations?|targets?"
)
_MASKS = re.compile(rf"(.*[^a-z])?({_WORDS})([^a-z].*)?|.*annot", re.IGNORECASE)
_PICTURES_OF_MASKS = re.compile(r"colou?r|instance|panoptic|overlay", re.IGNORECASE)
_NAME = re.compile(rf"(.+?)((?:[_.-](?:{_WORDS}|image|img|rgb|leftimg8bit|sat|colou?r|instanceids))*)", re.IGNORECASE)
_MOST_SORTS = 64
"""Sorts of which each is held against each."""
Key = tuple[str, str]
"""The word of the file's split, or nothing, and the name by which image and mask find each other."""


@frozen
class Layout:
    """How images and masks lie."""

    images: str
    """As the option of that name."""
    masks: str
    """Likewise; empty without masks."""
    words: Mapping[str, str]
    """Of each split that has a folder, the word in the folder's name."""
    files: Mapping[Key, tuple[str, ...]]
    """The images, each with its mask where there are masks, relative to the folder."""
    lonely: tuple[str, ...]
    """Images without a mask."""


@frozen(eq=False)
class Sort:
    """Files below one folder whose names end alike: perhaps all the images, perhaps all the masks."""

    folder: str
    """The word of a split in it reads ``{split}``."""
    ending: str
    files: dict[Key, str] = field(factory=dict)

    @property
    def mask_words(self) -> int:
        """How much folder and ending speak of masks; less than 0 where they are pictures of them."""
        words = [word for word in (*self.folder.split("/"), self.ending.strip("_-.")) if word]
        return sum(bool(_MASKS.fullmatch(word)) - 3 * bool(_PICTURES_OF_MASKS.search(word)) for word in words)

    @property
    def pattern(self) -> str:
        """Give it as the options `images` and `masks` do."""
        if not self.ending:
            return self.folder or "."
        suffix = Counter(os.path.splitext(path)[1] for path in self.files.values()).most_common(1)[0][0]  # noqa: PTH122
        deep = "**/" if any("/" in key for _, key in self.files) else ""
        return f"{self.folder}/{deep}*{self.ending.removesuffix(suffix)}{suffix}".removeprefix("/")


def find_layout(folder: Path, is_mask: Callable[[Path], bool]) -> Layout:
    """Find the images below a folder, and the masks that have their names.

    Args:
        folder: what to look at.
        is_mask: says whether a file looks like a mask inside, where names do not tell.

    Raises:
        KdsegError: there is no image, or there are masks whose names are no image's.
    """
    sorts = sorted(_sorts(list(_pictures(folder))), key=lambda sort: -len(sort.files))
    if not sorts:
        raise KdsegError(f"{folder}: holds no image; files that end in {', '.join(PICTURES)} are sought in all of it")
    pairs = list(_pairs(sorts[:_MOST_SORTS], folder, is_mask))
    if pairs:
        images, masks = max(pairs, key=_rank)
        both = sorted(images.files.keys() & masks.files.keys())
        found = {key: (images.files[key], masks.files[key]) for key in both}
        lonely = tuple(images.files[key] for key in sorted(images.files.keys() - masks.files.keys()))
        return _with_splits(images.pattern, masks.pattern, found, lonely)
    images = min(sorts, key=lambda sort: (sort.mask_words > 0, -len(sort.files), SPLIT not in sort.folder))
    masks_alone = {path for sort in sorts if sort.mask_words > 0 for path in sort.files.values()}
    rest = set(images.files.values()) - masks_alone
    if masks_alone and rest:
        one, other = min(rest), min(masks_alone)
        raise KdsegError(
            f"{folder}: no mask has the name of an image: there are {one} and {other}, for example; they are found by "
            "equal names, but for an ending such as _mask; where names differ otherwise, write a recipe with globs for "
            "images and masks"
        )
    return _with_splits(images.pattern, "", {key: (path,) for key, path in images.files.items()}, ())


def _pictures(folder: Path) -> Iterator[str]:
    for names, _, entries in walk(folder):
        for entry in entries:
            if entry.name.lower().endswith(PICTURES) and not is_folder(entry):
                yield "/".join((*names, entry.name))


def _sorts(paths: list[str]) -> list[Sort]:
    """Sort files by each folder above them and by how their names end."""
    stems = Counter(path.rpartition(".")[0] for path in paths)
    sorts: dict[tuple[str, str], Sort] = {}
    for path in paths:
        *folders, name = path.split("/")
        stem, _, suffix = name.rpartition(".")
        match = _NAME.fullmatch(stem)
        core, ending = (match[1], match[2]) if match else (stem, "")
        if stems[path.rpartition(".")[0]] > 1:  # an image and its mask side by side, which the suffix tells apart
            ending += f".{suffix}"
        for depth in range(len(folders) + 1):
            word, above = _without_split(folders[:depth])
            sort = sorts.setdefault((above, ending), Sort(above, ending))
            sort.files.setdefault((word, "/".join((*folders[depth:], core))), path)
    return [sort for sort in sorts.values() if len(sort.files) > 1 or len(paths) <= 2]  # noqa: PLR2004 (a pair)


def _without_split(folders: list[str]) -> tuple[str, str]:
    """Give the word of the split in a path's last folder that has one, and the path with ``{split}`` in its place."""
    for number in reversed(range(len(folders))):
        found = _SPLIT_PART.fullmatch(folders[number])
        if found is not None:
            part = f"{found[1] or ''}{SPLIT}{found[3] or ''}"
            return found[2], "/".join((*folders[:number], part, *folders[number + 1 :]))
    return "", "/".join(folders)


def _pairs(sorts: list[Sort], folder: Path, is_mask: Callable[[Path], bool]) -> Iterator[tuple[Sort, Sort]]:
    """Give the sorts that have names in common, the images first."""
    for number, one in enumerate(sorts):
        for other in sorts[number + 1 :]:
            common = one.files.keys() & other.files.keys()
            if not common:
                continue
            if one.mask_words != other.mask_words:
                yield (one, other) if one.mask_words < other.mask_words else (other, one)
            elif is_mask(folder / other.files[min(common)]):
                yield one, other
            elif is_mask(folder / one.files[min(common)]):
                yield other, one


def _rank(pair: tuple[Sort, Sort]) -> tuple[bool, int, bool, int, int]:
    """Say which of several pairs is meant: greater is better."""
    images, masks = pair
    return (
        _PICTURES_OF_MASKS.search(images.pattern) is None and masks.mask_words >= images.mask_words,
        len(images.files.keys() & masks.files.keys()),
        SPLIT in images.folder,
        masks.mask_words - images.mask_words,
        len(images.folder.split("/")) * bool(images.folder),
    )


def _with_splits(images: str, masks: str, files: Mapping[Key, tuple[str, ...]], lonely: tuple[str, ...]) -> Layout:
    """See which splits have folders of their own; where there is but one, it is no split."""
    words: dict[str, str] = {}
    for word in dict.fromkeys(word for word, _ in files):
        words.setdefault(_SPLIT_OF.get(word, ""), word)
    if "train" in words and "val" not in words and "test" in words:
        words["val"] = words.pop("test")
    if {"train", "val"} <= words.keys():
        return Layout(images, masks, words, files, lonely)
    counts = Counter(word for word, _ in files)
    word = counts.most_common(1)[0][0]
    kept = {key: paths for key, paths in files.items() if key[0] == word}
    return Layout(images.replace(SPLIT, word), masks.replace(SPLIT, word), {}, kept, lonely)
