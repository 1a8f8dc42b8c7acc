"""Weights of terms that change over a run."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal

from attrs import field, frozen
from attrs.validators import and_, deep_iterable, ge, le

if TYPE_CHECKING:
    from attrs import Attribute


LARGEST_WEIGHT = 1e6
"""A larger weight makes float32 overflow before it means anything."""
_IN_RANGE = and_(ge(0.0), le(LARGEST_WEIGHT))


@frozen(kw_only=True)
class Curve:
    """A weight that goes from one value to another over the whole run."""

    curve: Annotated[Literal["linear", "cosine"], "straight, or slow at both ends"]
    start: Annotated[float, "the weight at the start"] = field(validator=_IN_RANGE, metadata={"key": "from"})
    end: Annotated[float, "the weight at the end"] = field(validator=_IN_RANGE, metadata={"key": "to"})

    def at_progress(self, progress: float) -> float:
        """Give the weight where `progress` of the run is done, held before 0 and after 1.

        Linear: from + (to - from) p. Cosine: from + (to - from) (1 - cos(pi p)) / 2.
        """
        share = min(max(progress, 0.0), 1.0)
        if self.curve == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return (1 - share) * self.start + share * self.end


@frozen(kw_only=True)
class Points:
    """A weight that is linear between points, and held before the first and after the last."""

    at: Annotated[tuple[float, ...], "shares of the run, increasing within 0..1"] = field()
    value: Annotated[tuple[float, ...], "the weights there"] = field(validator=deep_iterable(_IN_RANGE))

    @at.validator
    def _increasing(self, _: Attribute[tuple[float, ...]], value: tuple[float, ...]) -> None:
        if (
            not value
            or any(left >= right for left, right in pairwise(value))
            or not all(0 <= share <= 1 for share in value)
        ):
            raise ValueError(f"must be one or more numbers that increase within 0..1; found {list(value)}")

    @value.validator
    def _as_many(self, _: Attribute[tuple[float, ...]], value: tuple[float, ...]) -> None:
        if len(value) != len(self.at):
            raise ValueError(f"must have as many numbers as `at`, {len(self.at)}; found {len(value)}")

    def at_progress(self, progress: float) -> float:
        """Give the weight where `progress` of the run is done."""
        if progress <= self.at[0]:
            return self.value[0]
        for (left, low), (right, high) in pairwise(zip(self.at, self.value, strict=True)):
            if progress <= right:
                share = (progress - left) / (right - left)
                return (1 - share) * low + share * high
        return self.value[-1]
