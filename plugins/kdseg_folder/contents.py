"""What the masks of an unknown folder hold, and what that probably means."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from kdseg import IGNORE_INDEX, KdsegError, read_colours, read_palette
from kdseg.mask_values.colours import hex_of, packed
from kdseg.mask_values.masks import mask_values
from kdseg.mask_values.meanings import IGNORE, MOST_CLASSES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

FEW = 64
"""Values that a file has at most which looks like a mask."""
_STRIDE = 4
"""Of so many rows and columns one is looked at, where a file is to be told from a photograph."""
_PROBED = 20
"""Masks, at least, of which one that holds colours tells that all do."""
_SPREAD = 4
"""Numbers up to so many times as many as there are values are indices, some of which do not occur."""


@frozen(kw_only=True)
class Contents:
    """The values in masks."""

    counts: Counter[int]
    """Pixels of each number, or of each packed colour."""
    colours: bool
    palette: dict[int, str]
    """The colours of numbers that are indices of a palette."""

    @property
    def shares(self) -> dict[str, float]:
        """Of each value its share of the pixels, the most frequent first."""
        whole = sum(self.counts.values())
        return {self.shown(value): count / whole for value, count in self.counts.most_common()}

    def shown(self, value: int) -> str:
        """Write a value as recipes do."""
        return hex_of(value) if self.colours else str(value)


def looks_like_mask(file: Path) -> bool:
    """Whether a file holds numbers, or colours, of which there are few."""
    try:
        return len(np.unique(mask_values(file, colours=_has_colours(file))[::_STRIDE, ::_STRIDE])) <= FEW
    except KdsegError:
        return False


def look_into(masks: Sequence[Path]) -> Contents:
    """Count the values of masks.

    Raises:
        KdsegError: one cannot be read, or they hold more values than there could be classes.
    """
    colours = any(_has_colours(mask) for mask in masks[:: max(1, len(masks) // _PROBED)])
    counts: Counter[int] = Counter()
    palette: dict[int, str] = {}
    for mask in masks:
        counts.update(_counts(mask_values(mask, colours=colours)))
        if len(counts) > MOST_CLASSES + 1:
            what = "colours" if colours else "values"
            raise KdsegError(
                f"{mask}: with it the masks hold {len(counts)} {what}, which is more than classes may be; masks that "
                "were smoothed, resized or compressed must be exported again, and images are no masks"
            )
        if not colours and not palette:
            table = read_palette(mask)
            palette = {} if table is None else {index: hex_of(packed(row)) for index, row in enumerate(table.tolist())}
    return Contents(counts=counts, colours=colours, palette=palette)


def _counts(values: npt.NDArray[Any]) -> dict[int, int]:
    """Count each value, by its runs along the rows, of which a mask has few."""
    flat = values.ravel()
    starts = np.flatnonzero(np.concatenate(([True], flat[1:] != flat[:-1])))
    found, number = np.unique(flat[starts], return_inverse=True)
    pixels = np.bincount(number, np.diff(np.append(starts, flat.size)))
    return dict(zip(found.tolist(), pixels.astype(int).tolist(), strict=True))


def conclude(contents: Contents) -> tuple[dict[str, Any], list[str]]:
    """Give the options that say what the values mean, and what was assumed."""
    values = sorted(contents.counts)
    if contents.colours:
        note = (
            f'Each colour is a class, called after it. Give them their names; "{IGNORE}" is for colours to leave out.'
        )
        return {"values": {contents.shown(value): f"colour_{value:06x}" for value in values}}, [note]
    if values == [0, 255]:
        note = "The masks hold 0 and 255 alone: two classes, called background and foreground."
        return {"values": {"0": "background", "255": "foreground"}}, [note]
    labels = [value for value in values if value != IGNORE_INDEX] or [0]
    if max(labels) >= min(MOST_CLASSES, max(8, _SPREAD * len(labels))):
        notes = ["The masks' numbers are far apart: each is a class, called after it. Give them their names."]
        if IGNORE_INDEX in values:
            notes.append(f'255 is a class as well; if it means pixels that count nowhere: 255 = "{IGNORE}".')
        return {"values": {str(value): f"class_{value}" for value in values}}, notes
    return _of_indices(labels, contents.palette)


def _of_indices(labels: list[int], palette: dict[int, str]) -> tuple[dict[str, Any], list[str]]:
    """Conclude from numbers that are classes' indices, counted from 0 or from 1."""
    first, highest = int(min(labels) >= 1 and max(labels) > 1), max(labels)
    options: dict[str, Any] = {"classes": [f"class_{value}" for value in range(first, highest + 1)]}
    notes = ["The classes are called by their numbers in the masks: give them their names. 255 would be ignored."]
    if first:
        options["reduce_zero_label"] = True
        notes.append("No mask holds 0, so the classes count from 1; a 0, should one come, is ignored.")
    else:
        notes.append(
            "0 is the first class; if it means that nothing is labelled, say reduce_zero_label = true and leave the "
            "first of the classes out."
        )
    absent = sorted(set(range(first, highest + 1)) - set(labels))
    if absent:
        notes.append(f"No mask that was read holds {', '.join(map(str, absent[:8]))}.")
    colours = {f"class_{value}": palette[value] for value in range(first, highest + 1) if value in palette}
    if len(set(colours.values())) == len(options["classes"]):
        options["colours"] = colours
        notes.append("The colours are those of the masks' palette.")
    return options, notes


def _has_colours(mask: Path) -> bool:
    """Whether a mask holds colours rather than numbers; a palette's indices are numbers."""
    if read_palette(mask) is not None:
        return False
    red, green, blue = np.moveaxis(read_colours(mask), -1, 0)
    return bool((red != green).any() or (green != blue).any())
