from __future__ import annotations

import numpy as np
import pytest
from attrs import frozen

from kdseg.data.samples import IGNORE_INDEX, Sample
from kdseg.errors import KdsegError


@frozen(kw_only=True)
class Scenes:
    """Noise with labels; a pure function of the index."""

    count: int
    height: int = 24
    width: int = 32
    classes: int = 5
    unlabelled: tuple[int, ...] = ()
    broken: tuple[int, ...] = ()
    larger: tuple[int, ...] = ()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if index in self.broken:
            raise KdsegError(f"scene{index}.png cannot be read")
        grow = 2 if index in self.larger else 1
        size = (self.height * grow, self.width * grow)
        numbers = np.random.default_rng(index)
        mask = numbers.integers(0, self.classes, size, dtype=np.uint8)
        mask[numbers.random(size) < 0.1] = IGNORE_INDEX
        return Sample(
            image=numbers.integers(0, 256, (*size, 3), dtype=np.uint8),
            mask=None if index in self.unlabelled else mask,
            id=f"scene{index}",
        )


@pytest.fixture
def scenes() -> type[Scenes]:
    return Scenes
