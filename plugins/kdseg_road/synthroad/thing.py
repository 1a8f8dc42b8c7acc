"""What the painter sorts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from kdseg_road.synthroad.dice import Dice
    from kdseg_road.synthroad.view import View


@frozen
class Thing:
    """Something that hides what is farther away."""

    depth: float
    """Metres ahead by which it is ordered."""
    paint: Callable[[View, Dice], None]
    footprint: tuple[float, float, float, float] | None = None
    """x0, x1, z0, z1 of the ground that it shades."""
