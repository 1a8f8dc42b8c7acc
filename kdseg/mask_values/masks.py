"""Masks as train indices, by what their numbers or colours mean."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from attrs import frozen

from kdseg.data.image_files import read_colours, read_numbers
from kdseg.data.samples import IGNORE_INDEX
from kdseg.errors import KdsegError
from kdseg.mask_values.meanings import LARGEST, MOST_CLASSES, Meaning

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Mask = npt.NDArray[np.uint8]

UNLISTED = MOST_CLASSES
"""The index of a value that nothing is said of: no class has it."""
_TOLD = 4
_BLENDED = 16
"""More unlisted colours than anybody forgets to list: they come of smoothing or resizing."""


@frozen(eq=False)
class ValueReader:
    """Reads masks whose values have a meaning each."""

    meaning: Meaning
    others_are_ignored: bool
    told: str
    """What the masks may hold, for errors: a clause."""

    def read(self, file: Path, content: bytes | None = None, /) -> Mask:
        """Read a mask, H×W, as train indices; where its bytes lie elsewhere, `file` only names them.

        Raises:
            KdsegError: it cannot be read, or holds a value without a meaning.
        """
        values = mask_values(file, content, colours=self.meaning.colours)
        mask = self._indices(values)
        if not self.others_are_ignored and (mask == UNLISTED).any():
            raise KdsegError(f"{file}: {self._strange(values[mask == UNLISTED])}")
        return mask

    def _indices(self, values: npt.NDArray[Any]) -> Mask:
        rest = IGNORE_INDEX if self.others_are_ignored else UNLISTED
        table = _table(tuple(self.meaning.indices.items()), self.meaning.colours, rest)
        if values.dtype == np.uint8:
            return np.asarray(cv2.LUT(values, table[: 2**8]), np.uint8)
        return np.asarray(table[values], np.uint8)

    def _strange(self, values: npt.NDArray[Any]) -> str:
        found, counts = np.unique(values, return_counts=True)
        names = [self.meaning.shown(int(value)) for value in found[np.argsort(-counts, kind="stable")]]
        what = "colour" if self.meaning.colours else "value"
        several = "s" if len(names) > 1 else ""
        shown = ", ".join(names[:_TOLD]) + (f" and {len(names) - _TOLD} more" if len(names) > _TOLD else "")
        text = f"holds the {what}{several} {shown}, which no class has ({len(values)} pixels); {self.told}"
        if self.meaning.colours and len(names) > _BLENDED:
            return f"{text}. So many come of smoothing, resizing or compression: export the masks again without"
        return text


def mask_values(file: Path, content: bytes | None = None, *, colours: bool) -> npt.NDArray[Any]:
    """Read what a mask holds, H×W: numbers, or colours packed into one number each.

    Raises:
        KdsegError: it cannot be read.
    """
    if not colours:
        return read_numbers(file, content)
    rgb = read_colours(file, content).astype(np.uint32)
    return rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]


@functools.lru_cache(maxsize=4)
def _table(indices: tuple[tuple[int, int], ...], colours: bool, rest: int) -> Mask:
    """Give the train index of every value that there could be."""
    table = np.full(2**24 if colours else LARGEST + 1, rest, np.uint8)
    for value, index in indices:
        table[value] = index
    return table
