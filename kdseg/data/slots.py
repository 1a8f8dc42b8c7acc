"""Memory through which workers hand over arrays, used over and over.

Torch makes fresh shared memory for each tensor: on two cores its page faults took 9 ms of processor time for a batch of
8 MB. To fill memory that is there already takes 1.2 ms, and to copy it elsewhere 1.1 ms, so it is lent where it can be.
Nor does this need room in /dev/shm.
"""

from __future__ import annotations

import mmap
import multiprocessing
import weakref
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
LENT = 2
"""Slots that may be lent: a loop holds a batch while it asks for the next."""
_RESERVE_NOTHING = getattr(mmap, "MAP_NORESERVE", 0)


@frozen(eq=False)
class Slots:
    """Slots that processes made by fork share, by number."""

    _maps: Sequence[mmap.mmap]
    _free: list[int]
    """Of this process, which alone takes them."""
    _lent: set[int]
    _pinned: bool
    """Whether a GPU is to read what is given."""

    def take(self) -> int:
        """Take a slot that is free."""
        return self._free.pop()

    def give_back(self, number: int) -> None:
        """Let a slot be taken again."""
        self._lent.discard(number)
        self._free.append(number)

    def places(self, number: int, shapes: Sequence[Shape]) -> list[npt.NDArray[np.uint8]] | None:
        """Give arrays of some shapes that lie in a slot, one after another; None, where they are too large for it."""
        return _cut(self._bytes(number), shapes)

    def tensors(self, number: int, shapes: Sequence[Shape]) -> list[Tensor]:
        """Give what lies in a slot, which is given back when nobody holds any of it.

        Where as many are lent as may be they are copies, and where memory is to be pinned.
        """
        held = self._bytes(number)
        places = _cut(held, shapes) or []
        if len(self._lent) < LENT and not self._pinned:
            self._lent.add(number)
            weakref.finalize(held, self.give_back, number).atexit = False  # each tensor holds it
            return [torch.from_numpy(place) for place in places]
        copies = []
        for place in places:
            copy = torch.empty(place.shape, dtype=torch.uint8, pin_memory=self._pinned)
            copy.numpy()[...] = place
            copies.append(copy)
        self.give_back(number)
        return copies

    def _bytes(self, number: int) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self._maps[number], np.uint8)


def _cut(whole: npt.NDArray[np.uint8], shapes: Sequence[Shape]) -> list[npt.NDArray[np.uint8]] | None:
    ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
    if ends[-1] > len(whole):
        return None
    return [whole[start:end].reshape(shape) for start, end, shape in zip(ends, ends[1:], shapes, strict=False)]


def make_slots(number: int, *, pinned: bool = False) -> Slots | None:
    """Make a number of slots, and those to lend; None, where the workers to come would not share them.

    Args:
        number: how many.
        pinned: whether tensors are to be given in memory that a GPU reads without waiting.
    """
    if multiprocessing.get_start_method() != "fork" or not hasattr(mmap, "MAP_ANONYMOUS"):
        return None
    flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | _RESERVE_NOTHING
    try:
        maps = [mmap.mmap(-1, SLOT_BYTES, flags=flags) for _ in range(number + LENT)]
    except OSError:  # address space is limited
        return None
    return Slots(maps, list(range(len(maps))), set(), pinned)
