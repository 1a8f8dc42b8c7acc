"""The random draws of one image."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

T = TypeVar("T")

_BLOCK = 512


class Dice:
    """Scalars drawn from a generator in blocks, because a call to numpy for each is slow."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._block: list[float] = []

    def between(self, low: float, high: float) -> float:
        """Draw uniformly from low..high."""
        if not self._block:
            self._block = self._generator.random(_BLOCK).tolist()
        return low + (high - low) * self._block.pop()

    def chance(self, probability: float) -> bool:
        """Draw True with the given probability."""
        return self.between(0, 1) < probability

    def count(self, low: int, high: int) -> int:
        """Draw one of the integers low..high."""
        return int(self.between(low, high + 1))

    def pick(self, options: Sequence[T]) -> T:
        """Draw one of the options."""
        return options[int(self.between(0, len(options)))]
