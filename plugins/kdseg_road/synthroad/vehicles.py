"""Cars, trucks and buses."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, frozen

from kdseg_road.synthroad.labels import BUS, CAR, TRUCK
from kdseg_road.synthroad.layout import Thing
from kdseg_road.synthroad.paint import DARK, GLASS, GREYS, LIGHT, VIVIDS, Colour, mix, shade
from kdseg_road.synthroad.view import corners, rects, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdseg_road.synthroad.dice import Dice
    from kdseg_road.synthroad.layout import Street
    from kdseg_road.synthroad.view import Floats, View

_REAR: Colour = (190, 30, 30)
_FRONT: Colour = (245, 240, 210)
_PANES = rows(0.03, 0.9, 0.16)
_RIBS = rows(0.05, 0.75, 0.07)

# Upon a face, 0..1 from its left foot: s0, t0, s1, t1.
_CAR_LAMPS = np.array(((0.04, 0.5, 0.2, 0.85), (0.8, 0.5, 0.96, 0.85)))
_CAR_PLATE = np.array(((0.38, 0.25, 0.62, 0.48),))
_CAR_SCREEN = np.array(((0.08, 0.12, 0.92, 0.85),))
_CAR_WINDOWS = np.array(((0.08, 0.12, 0.48, 0.85), (0.54, 0.12, 0.92, 0.85)))
_BUS_LAMPS = np.array(((0.04, 0.16, 0.2, 0.26), (0.8, 0.16, 0.96, 0.26)))
_BUS_SCREEN = np.array(((0.06, 0.36, 0.94, 0.8),))
_BUS_SIGN = np.array(((0.2, 0.86, 0.8, 0.96),))
_BUS_WINDOWS = rects(_PANES, 0.42, _PANES + 0.13, 0.8)
_TRUCK_LAMPS = np.array(((0.02, -0.18, 0.16, -0.06), (0.84, -0.18, 0.98, -0.06)))
_TRUCK_DOORS = np.array(((0.48, 0.02, 0.52, 0.98), (0.0, 0.0, 1.0, 0.05)))
_TRUCK_RIBS = rects(_RIBS, 0.0, _RIBS + 0.03, 1.0)


@frozen
class _Body:
    """Where a vehicle is: x0..x1 across, z0..z1 ahead."""

    x0: float
    x1: float
    z0: float
    z1: float
    end_on: bool
    """Whether its front or rear faces the camera; else its flank."""
    label: int

    def faces(self, view: View, y0: float, y1: float, inset: float = 0.0) -> tuple[Floats, Floats, Floats]:
        """Give the corners 4×3 of a block's near, side and top face; `inset` narrows its top lengthways."""
        x0, x1 = self.x0, self.x1
        across, ahead = (inset * 0.35, inset) if self.end_on else (inset, inset * 0.35)
        near, back = (
            np.array(((x0, y0, z), (x1, y0, z), (x1 - across, y1, z + way), (x0 + across, y1, z + way)))
            for z, way in ((self.z0, ahead), (self.z1, -ahead))
        )
        low, high = (0, 3) if view.camera.right((x0 + x1) / 2, self.z0) > 0 else (1, 2)
        return (
            near,
            np.array((near[low], back[low], back[high], near[high])),
            np.array((near[3], near[2], back[2], back[3])),
        )

    def block(self, view: View, y0: float, y1: float, colour: Colour, inset: float = 0.0) -> tuple[Floats, Floats]:
        """Fill a block from y0 to y1; give its end and its flank as far as they are seen, near face first if end-on."""
        near, side, top = self.faces(view, y0, y1, inset)
        view.fill(side, shade(colour, 0.72), self.label)
        if y1 < view.camera.height:
            view.fill(top, shade(colour, 1.15), self.label)
        view.fill(near, colour, self.label)
        return (near, side) if self.end_on else (side, near)

    def patch(self, view: View, face: Floats, rectangles: Floats, colour: Colour) -> None:
        """Fill rectangles m×4 (s0, t0, s1, t1), in 0..1, upon a face."""
        places = corners(rectangles)
        s, t = places[..., :1], places[..., 1:]
        foot = face[0] + s * (face[1] - face[0])
        view.fill(foot + t * (face[3] + s * (face[2] - face[3]) - foot), colour, self.label)

    def wheels(self, view: View, radius: float) -> None:
        """Paint the wheels, which the body hides in part."""
        near, side, _ = self.faces(view, 0.0, 2 * radius)
        end, flank = (near, side) if self.end_on else (side, near)
        half = 0.8 * radius / float(np.abs(flank[1] - flank[0]).max())
        middles = np.array((0.18, 0.8))
        self.patch(view, flank, rects(middles - half, 0.0, middles + half, 1.0), DARK)
        self.patch(view, end, rects(np.array((0.02, 0.8)), 0.0, np.array((0.2, 0.98)), 1.0), DARK)


def traffic(dice: Dice, street: Street) -> Iterator[Thing]:
    """Put vehicles into the lanes, one behind the other."""
    free = dict.fromkeys(range(street.lanes), 4.5)
    for _ in range(dice.count(1, 3)):
        lane = dice.count(0, street.lanes - 1)
        wide, length, paint, label = dice.pick((
            (dice.between(1.7, 1.95), dice.between(3.8, 4.6), _paint_car, CAR),
            (dice.between(1.7, 1.95), dice.between(3.8, 4.6), _paint_car, CAR),
            (dice.between(1.7, 1.95), dice.between(3.8, 4.6), _paint_car, CAR),
            (dice.between(2.3, 2.5), dice.between(6, 8), _paint_truck, TRUCK),
            (dice.between(2.4, 2.6), dice.between(8, 11), _paint_bus, BUS),
        ))  # fmt: skip
        end_on = dice.chance(0.88)
        if not end_on:
            wide, length = length, wide
        x = street.lane(lane) + dice.between(-0.3, 0.3)
        z = free[lane] + dice.between(1, 7) + (0 if label == CAR else 2.5)
        free[lane] = z + length
        body = _Body(x - wide / 2, x + wide / 2, z, z + length, end_on, label)
        span = (body.x0 - 0.2, body.x1 + 0.2)
        yield Thing(z + length / 2, partial(paint, body=body), labels=(label,), span=span, shade=length + 0.6)


def _paint_car(view: View, dice: Dice, *, body: _Body) -> None:
    colour = mix(dice, *VIVIDS, *GREYS[2:])
    body.wheels(view, 0.33)
    end, _ = body.block(view, 0.3, 0.9, colour)
    if body.end_on:
        body.patch(view, end, _CAR_LAMPS, dice.pick((_REAR, _FRONT)))
        body.patch(view, end, _CAR_PLATE, LIGHT)
        bonnet = dice.between(0.3, 0.9)
        cabin = evolve(body, x0=body.x0 + 0.08, x1=body.x1 - 0.08, z0=body.z0 + bonnet, z1=body.z1 - 0.8)
    else:
        cabin = evolve(body, x0=body.x0 + 0.7, x1=body.x1 - 0.5, z0=body.z0 + 0.08, z1=body.z1 - 0.08)
    end, flank = cabin.block(view, 0.9, dice.between(1.4, 1.65), colour, inset=0.45)
    body.patch(view, end, _CAR_SCREEN, GLASS)
    body.patch(view, flank, _CAR_WINDOWS, GLASS)


def _paint_bus(view: View, dice: Dice, *, body: _Body) -> None:
    body.wheels(view, 0.45)
    end, flank = body.block(view, 0.4, dice.between(2.8, 3.3), mix(dice, *VIVIDS, *GREYS[2:]))
    body.patch(view, flank, _BUS_WINDOWS, GLASS)
    if body.end_on:
        body.patch(view, end, _BUS_SCREEN, GLASS)
        body.patch(view, end, _BUS_SIGN, DARK)
        body.patch(view, end, _BUS_LAMPS, dice.pick((_REAR, _FRONT)))


def _paint_truck(view: View, dice: Dice, *, body: _Body) -> None:
    """A box with ribs on a dark frame, from behind."""
    colour = mix(dice, *VIVIDS, *GREYS[2:])
    body.wheels(view, 0.5)
    body.block(view, 0.5, 1.0, DARK)
    end, flank = body.block(view, 1.0, dice.between(2.9, 3.6), colour)
    body.patch(view, flank, _TRUCK_RIBS, shade(colour, 0.65))
    if body.end_on:
        body.patch(view, end, _TRUCK_DOORS, shade(colour, 0.65))
        body.patch(view, end, _TRUCK_LAMPS, _REAR)
