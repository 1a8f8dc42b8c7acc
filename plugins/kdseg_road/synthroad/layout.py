"""Where things are: the street's plan, and what the painter sorts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

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
    labels: tuple[int, ...] = field(kw_only=True)
    """What it shows, apart from the ground."""
    span: tuple[float, float] | None = None
    """From which x to which it reaches; None where it is always painted."""
    shade: float = 0.0
    """Metres of ground, along the road, that lie in its shadow."""


@frozen(kw_only=True)
class Side:
    """What lies beside the road, on the left (sign -1) or on the right (1). All x in metres from the camera."""

    sign: int
    kerb: float
    """Where the road ends."""
    pavement: tuple[float, float] | None
    """Its inner and outer x."""
    front: float
    """Where houses, walls and trees begin."""


@frozen(kw_only=True)
class Street:
    """A road with lanes, its two sides and perhaps a side street."""

    left: Side
    right: Side
    lanes: int
    junction: tuple[float, float] | None
    """From where to where a side street joins, in metres ahead."""

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both sides."""
        return self.left, self.right

    def lane(self, index: int) -> float:
        """Give the middle of a lane, counted from the left."""
        return self.left.kerb + (self.right.kerb - self.left.kerb) * (index + 0.5) / self.lanes


def draw_street(dice: Dice) -> Street:
    """Draw a plan. Mostly the camera stands on the road, at times beside it."""
    lanes = dice.count(1, 4)
    width = lanes * dice.between(2.8, 3.8)
    left = -dice.between(1.2, width - 1.2)
    if dice.chance(0.2):
        left = dice.pick((dice.between(0.5, 2.0), -width - dice.between(0.5, 2.0)))
    start = dice.between(9, 35)
    return Street(
        left=_draw_side(dice, -1, left),
        right=_draw_side(dice, 1, left + width),
        lanes=lanes,
        junction=(start, start + dice.between(6, 10)) if dice.chance(0.4) else None,
    )


def _draw_side(dice: Dice, sign: int, kerb: float) -> Side:
    outer = kerb
    pavement = None
    if dice.chance(0.4):
        outer += sign * dice.between(0.8, 3.0)  # a verge
    if dice.chance(0.75):
        inner, outer = outer, outer + sign * dice.between(1.6, 4.0)
        pavement = (inner, outer)
    if pavement is None or dice.chance(0.5):
        outer += sign * dice.between(0.6, 4.0)
    return Side(sign=sign, kerb=kerb, pavement=pavement, front=outer)
