"""Memory through which workers hand over arrays, used over and over.

Torch makes fresh shared memory for each tensor: on two cores its page faults took 9 ms of processor time for a batch of
8 MB, and filling and emptying memory that is there already takes 1.7 ms. Nor does this need room in /dev/shm.
"""

from __future__ import annotations

import mmap
import multiprocessing
from typing import TYPE_CHECKING

import numpy as np
import torch
from attrs import frozen
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

Shape = tuple[int, ...]
SLOT_BYTES = 2**28
"""Of address space for a slot; memory is taken for what is written alone. What is larger goes torch's way."""
_RESERVE_NOTHING = getattr(mmap, "MAP_NORESERVE", 0)


@frozen(eq=False)
class Slots:
    """Slots that processes made by fork share, by number."""

    _slots: Sequence[npt.NDArray[np.uint8]]

    def __len__(self) -> int:
        """Give how many there are."""
        return len(self._slots)

    def places(self, number: int, shapes: Sequence[Shape]) -> list[npt.NDArray[np.uint8]] | None:
        """Give arrays of some shapes that lie in a slot, one after another; None, where they are too large for it."""
        ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
        if ends[-1] > len(self._slots[number]):
            return None
        return [
            self._slots[number][start:end].reshape(s) for start, end, s in zip(ends, ends[1:], shapes, strict=False)
        ]

    def empty(self, number: int, shapes: Sequence[Shape]) -> list[Tensor]:
        """Give copies of what lies in a slot, in memory that a GPU reads quickly where there is one."""
        copies = []
        for place in self.places(number, shapes) or ():
            copy = torch.empty(place.shape, dtype=torch.uint8, pin_memory=torch.cuda.is_available())
            copy.numpy()[...] = place
            copies.append(copy)
        return copies


def make_slots(number: int) -> Slots | None:
    """Make slots; None, where the workers to come would not share them."""
    if multiprocessing.get_start_method() != "fork" or not hasattr(mmap, "MAP_ANONYMOUS"):
        return None
    flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | _RESERVE_NOTHING
    try:
        maps = [mmap.mmap(-1, SLOT_BYTES, flags=flags) for _ in range(number)]
    except OSError:  # address space is limited
        return None
    return Slots([np.frombuffer(one, np.uint8) for one in maps])
