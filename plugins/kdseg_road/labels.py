"""What the numbers in the masks of road scenes mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from attrs import frozen

from kdseg.data.image_files import read_labels
from kdseg.data.labelled import highest_label
from kdseg.data.samples import IGNORE_INDEX
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt


@frozen(eq=False)
class Labels:
    """What the numbers in a dataset's masks mean."""

    table: npt.NDArray[np.uint8]
    """256 train indices."""
    known: int
    """Numbers from 0 up to, not including, this occur, and 255, which is ignored."""
    told: str
    """Which numbers there are, for errors: "Cityscapes' label ids go from 0 to 33"."""
    palette: bool
    """Whether they may be indices of a palette."""
    stay: int
    """Numbers from 0 up to, not including, this are their own train indices."""
    others_are_ignored: bool
    """Whether those after them are, all of them."""

    @classmethod
    def of(cls, train_indices: Sequence[int], told: str, *, palette: bool = False) -> Labels:
        """Make the table from the train index of each label from 0 on."""
        table = np.arange(256, dtype=np.uint8)
        table[: len(train_indices)] = train_indices
        known = len(train_indices)
        stay = next((label for label in range(known) if train_indices[label] != label), known)
        return cls(table, known, told, palette, stay, set(train_indices[stay:]) <= {IGNORE_INDEX})

    def read(self, file: Path) -> npt.NDArray[np.uint8]:
        """Read a mask, H×W, as train indices.

        Raises:
            KdsegError: it is no mask, or holds another number.
        """
        labels = read_labels(file, palette=self.palette)
        highest = highest_label(labels)
        if highest >= self.known:
            found = labels[(labels >= self.known) & (labels != IGNORE_INDEX)].min()
            raise KdsegError(f"{file}: holds the label {found}; {self.told}")
        if highest < self.stay:
            return labels
        if self.others_are_ignored:  # two passes, which take a fifth of a look-up
            _, ignored = cv2.threshold(labels, self.stay - 1, IGNORE_INDEX, cv2.THRESH_BINARY)
            return np.asarray(cv2.max(labels, ignored), np.uint8)
        return np.asarray(cv2.LUT(labels, self.table), np.uint8)
