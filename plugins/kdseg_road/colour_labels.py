"""Masks that hold a colour for each class."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from kdseg.data.image_files import read_colours
from kdseg.data.samples import IGNORE_INDEX
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

_UNLISTED = 254
"""The index of a colour that nothing is said of: no class has it."""
_TOLD = 4


@frozen(eq=False)
class ColourLabels:
    """What the colours in a dataset's masks mean."""

    indices: tuple[tuple[int, int], ...]
    """Colours, each as 0xRRGGBB, and their train indices."""
    told: str
    """Which colours there are, and what mends a mask with others, for errors: a clause."""
    others_are_ignored: bool

    def read(self, file: Path) -> npt.NDArray[np.uint8]:
        """Read a mask, H×W, as train indices.

        Raises:
            KdsegError: it is no mask, or holds another colour.
        """
        rgb = read_colours(file).astype(np.uint32)
        codes = rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
        table = _table(self.indices, IGNORE_INDEX if self.others_are_ignored else _UNLISTED)
        mask = np.asarray(table[codes], np.uint8)
        strange = codes[mask == _UNLISTED]
        if strange.size:
            found, counts = np.unique(strange, return_counts=True)
            names = [f"#{code:06x}" for code in found[np.argsort(-counts, kind="stable")][:_TOLD]]
            more = f" and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
            raise KdsegError(
                f"{file}: holds the colour{'s' if len(found) > 1 else ''} {', '.join(names)}{more}, which no class has "
                f"({strange.size} pixels); {self.told}"
            )
        return mask


@functools.lru_cache(maxsize=2)
def _table(indices: tuple[tuple[int, int], ...], rest: int) -> npt.NDArray[np.uint8]:
    """Give the train index of every colour that there could be: a look-up takes a tenth of a search."""
    table = np.full(2**24, rest, np.uint8)
    for code, index in indices:
        table[code] = index
    return table
