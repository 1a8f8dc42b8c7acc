"""The images of a split, listed by the options of a folder."""

from __future__ import annotations

import filecmp
import os
import re
from typing import TYPE_CHECKING

from attrs import evolve

from kdseg import Defect, ImageSamples, KdsegError
from kdseg.listing import Files, Listing, paired, unlabelled
from kdseg_folder.lists import listed_keys
from kdseg_folder.patterns import find
from kdseg_folder.shares import group_keys, share_out

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from kdseg import DatasetContext, MaskReader
    from kdseg_folder.options import Folder

SPLIT = "{split}"


def folder_samples(options: Folder, ctx: DatasetContext, reader: MaskReader) -> ImageSamples:
    """List a split, in the order of the images' keys.

    Raises:
        KdsegError: a folder or list is missing, or nothing says which images are the split's.
    """
    tables = {split: other for split, other in ctx.by_split.items() if isinstance(other, type(options))}
    tables |= {ctx.split: options}
    images, masks, defects = _files(tables, ctx.split)
    listing = unlabelled(images) if masks is None else paired(images, masks, options.unpaired)
    again = _seen_before(tables, ctx.split, listing)
    return ImageSamples.of(evolve(listing, defects=(*listing.defects, *defects, *again)), reader, as_seen=True)


def _files(tables: Mapping[str, Folder], split: str) -> tuple[Files, Files | None, list[Defect]]:
    """Give the images of a split, its masks, and what is wrong with how they are told from others'."""
    options = tables[split]
    train = tables.get("train", options)
    if (options.root, options.images) == (train.root, train.images):
        refuse_unsaid(options, split)
    word = options.split_names.get(split, split)
    images = _find(options, "images", word, split)
    masks = _find(options, "masks", word, split) if options.masks else None
    if masks is not None:  # they may lie beside or below the images
        taken = {*masks.by_stem.values(), *(defect.file for defect in masks.twins.values())}
        images = _without(images, taken)
    keys, defects = _keys(options, split, word, images)
    if keys is not None:
        images = only(images, keys)
    others = SPLIT in options.images and SPLIT not in options.masks  # masks of other splits are listed too
    if masks is not None and (keys is not None or others):
        masks = only(masks, images.by_stem.keys() if keys is None else keys)
    if not images.by_stem and not defects:
        raise KdsegError(
            f"{options.root}: the {split} split has no images: all that images = {options.images!r} fits "
            "are masks, or are in other splits"
        )
    return images, masks, defects


def refuse_unsaid(options: Folder, split: str) -> None:
    """Refuse a split of which nothing says which images it has.

    Raises:
        KdsegError: with what would say it.
    """
    if SPLIT in options.images or options.lists or split == "train":
        return
    if getattr(options, f"{split}_share"):
        return
    raise KdsegError(
        f"nothing says which images are the {split} split's; write {{split}} into images and masks, where each split "
        f'has a folder, or lists = "{{split}}.txt", or {split}_share = 0.2, which takes them from all'
    )


def _find(options: Folder, option: str, word: str, split: str) -> Files:
    pattern: str = getattr(options, option)
    mend = f'where that folder has another name, say split_names = {{ {split} = "…" }}' if SPLIT in pattern else ""
    return find(options.root, pattern.replace(SPLIT, word), option, mend)


def _keys(options: Folder, split: str, word: str, images: Files) -> tuple[Collection[str] | None, list[Defect]]:
    """Give the keys of the split's images, None for all of them, and what is wrong with how they are told."""
    if options.lists:
        file = options.root / options.lists.replace(SPLIT, word)
        return listed_keys(file, images.by_stem, options.root)
    shares = {name: share for name in ("val", "test") if (share := getattr(options, f"{name}_share"))}
    if not shares:
        return None, []
    groups, defects = group_keys(images.by_stem, re.compile(options.group) if options.group else None)
    if len(groups) <= len(shares):
        raise KdsegError(
            f"{options.root}: {len(images.by_stem)} images in {len(groups)} groups cannot be shared out to "
            f"{len(shares) + 1} splits; a group stays together: make group finer, or add images"
        )
    keys = share_out(groups, shares, options.split_seed)
    if split in shares:
        return keys[split], []
    return {key for those in groups.values() for key in those} - {
        key for those in keys.values() for key in those
    }, defects


def _without(files: Files, taken: Collection[Path]) -> Files:
    return evolve(
        files,
        by_stem={key: path for key, path in files.by_stem.items() if path not in taken},
        twins={key: twin for key, twin in files.twins.items() if twin.file not in taken},
    )


def only(files: Files, keys: Collection[str]) -> Files:
    """Leave out the files with other keys."""
    return evolve(
        files,
        by_stem={key: path for key, path in files.by_stem.items() if key in keys},
        twins={key: twin for key, twin in files.twins.items() if key in keys},
    )


def _seen_before(tables: Mapping[str, Folder], split: str, listing: Listing) -> Iterator[Defect]:
    """Tell of images that an earlier split has, too, in the same file or in a copy."""
    options = tables[split]
    mine = [files[0] for files in listing.files.values()]
    for earlier in options.splits[: options.splits.index(split)]:
        try:
            theirs = list(_files({earlier: options, **tables}, earlier)[0].by_stem.values())
        except KdsegError:  # told where that split is opened
            continue
        for one, other in _copies(mine, theirs):
            what = "is" if one == other else f"is a copy of {other}, which is"
            yield Defect(
                one,
                f"{what} in the {earlier} split too; scores on images that were learned from mean nothing: "
                "leave it in one of the two",
            )


def _copies(mine: Iterable[Path], theirs: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """Give the pairs of files that are the same or hold the same."""
    same = set(theirs)
    by_size: dict[int, list[Path]] = {}
    for path in same:
        by_size.setdefault(_size(path), []).append(path)
    for path in mine:
        if path in same:
            yield path, path
            continue
        size = _size(path)
        copies = (other for other in sorted(by_size.get(size, ())) if size > 0 and _equal(path, other))
        yield from ((path, other) for other in list(copies)[:1])


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 (of many files: quicker than through Path)
    except OSError:
        return -1


def _equal(one: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False
