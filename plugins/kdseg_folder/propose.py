"""How a folder that nobody has described would be read."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from kdseg import KdsegError, Proposal, read_rgb
from kdseg.walk import walk
from kdseg_folder.contents import conclude, look_into, looks_like_mask
from kdseg_folder.layout import SPLIT, find_layout
from kdseg_folder.lists import listed_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from kdseg_folder.layout import Layout

MOST_READ = 400
"""Masks that are read, at most: `kdseg data` and `kdseg run` read all."""
_SIZED = 20
_SHARE = 0.2
_FRAMES = 3
"""Images of a sequence, on average, from which on numbers in names are taken for its frames."""


def propose(folder: Path) -> Proposal:
    """Look at a folder and say how to read it.

    Raises:
        KdsegError: it holds no images, or masks that cannot be read.
    """
    layout = find_layout(folder, looks_like_mask)
    options: dict[str, Any] = {"images": layout.images}
    notes: list[str] = []
    class_notes: list[str] = []
    values: dict[str, float] = {}
    if layout.masks:
        options["masks"] = layout.masks
    splits, images, more = _splits(folder, layout)
    options |= splits
    notes += more
    if layout.masks:
        masks = _some([folder / files[1] for files in layout.files.values()], MOST_READ)
        contents = look_into(masks)
        meaning, class_notes = conclude(contents)
        options |= meaning
        values = contents.shares
        if len(masks) < len(layout.files):
            notes.append(f"{len(masks)} of {len(layout.files)} masks were read: kdseg data reads all.")
    else:
        notes.append("No masks were found: a teacher can teach on these images, but nothing can learn from labels.")
    if layout.lonely:
        options["unpaired"] = "skip"
        notes.append(f"{len(layout.lonely)} images have no mask and are left out, {layout.lonely[0]} the first.")
    read = [read_rgb(folder / files[0], upright=True) for files in _some(list(layout.files.values()), _SIZED)]
    sizes = Counter((image.shape[0], image.shape[1]) for image in read)
    return Proposal(
        options=options,
        notes=tuple(notes),
        class_notes=tuple(class_notes),
        images=images,
        sizes=dict(sizes.most_common()),
        values=values,
    )


def _splits(folder: Path, layout: Layout) -> tuple[dict[str, Any], dict[str, int], list[str]]:
    """Say how images are parted: by folders, by lists that lie there, or by a share."""
    if layout.words:
        counts = Counter(word for word, _ in layout.files)
        named = {split: word for split, word in layout.words.items() if split != word}
        notes = [] if named.get("val") != "test" else ["There is no val split: the test split is taken for it."]
        options = {"split_names": named} if named else {}
        return options, {split: counts[word] for split, word in layout.words.items()}, notes
    keys = {key: folder / files[0] for (_, key), files in layout.files.items()}
    found = _lists(folder, keys)
    if found is not None:
        pattern, counted = found
        return {"lists": pattern}, counted, []
    whole = len(keys)
    kept = max(1, round(_SHARE * whole)) if whole > 1 else 0
    counted = {"train": whole - kept, "val": kept}
    if whole < 2:  # noqa: PLR2004 (one for each split)
        return {}, {"train": whole}, ["There is one image alone: say which others are to judge by."]
    note = f"There are no folders or lists of splits: a share of {_SHARE:g}, chosen by split_seed, is kept as val."
    group = _group(keys)
    if not group:
        return {"val_share": _SHARE}, counted, [note]
    told = 'Names look like frames of sequences, which stay together (group); with group = "" each image is its own.'
    return {"val_share": _SHARE, "group": group}, counted, [note, told]


def _lists(folder: Path, keys: dict[str, Path]) -> tuple[str, dict[str, int]] | None:
    """Find ``train.txt`` and ``val.txt`` that list these images."""
    for _, place, entries in walk(folder):
        if all(entry.name != "train.txt" for entry in entries):
            continue
        counted = {}
        for split in ("train", "val", "test"):
            file = place / f"{split}.txt"
            if file.is_file():
                try:
                    listed, defects = listed_keys(file, keys, folder)
                except KdsegError:
                    continue
                if listed and not defects:
                    counted[split] = len(listed)
        if {"train", "val"} <= counted.keys():
            return f"{place.relative_to(folder).as_posix()}/{SPLIT}.txt".removeprefix("./"), counted
    return None


def _group(keys: Iterable[str]) -> str:
    """Give the expression that names an image's sequence, or nothing where names speak of none."""
    names = list(keys)
    for expression in (r"^(.*)/", r"^(.*[^0-9])[0-9]+$"):
        found = [re.search(expression, name) for name in names]
        groups = {match[1] for match in found if match is not None}
        if None not in found and len(groups) > 2 and len(names) >= _FRAMES * len(groups):  # noqa: PLR2004 (splits)
            return expression
    return ""


def _some(items: Sequence[Any], most: int) -> list[Any]:
    """Give so many of them, evenly spaced."""
    read = min(len(items), most)
    return [items[number * len(items) // read] for number in range(read)]
