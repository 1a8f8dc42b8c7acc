"""Stages of an encoder that gives all of them at once, each at a place where a tap can hear it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class Stages(nn.ModuleList):
    """A place for each stage, the finest first."""

    def __init__(self, count: int) -> None:
        super().__init__(nn.Identity() for _ in range(count))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Give the features of each stage as they are."""
        return [place(feature) for place, feature in zip(self, features, strict=True)]

    def named(self) -> dict[str, nn.Module]:
        """Give the places by their stages' names."""
        return {f"encoder.{number}": place for number, place in enumerate(self, 1)}
