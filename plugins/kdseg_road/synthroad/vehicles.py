"""Cars, trucks and buses."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from kdseg_road.synthroad.labels import BUS, CAR, TRUCK
from kdseg_road.synthroad.paint import DARK, GLASS, GREYS, VIVIDS, Colour, mix, shade
from kdseg_road.synthroad.thing import Thing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdseg_road.synthroad.dice import Dice
    from kdseg_road.synthroad.street import Street
    from kdseg_road.synthroad.view import Points, View

_REAR: Colour = (190, 30, 30)
_FRONT: Colour = (245, 240, 210)
_PLATE: Colour = (225, 225, 220)


@frozen
class Body:
    """A vehicle's place: x0..x1 across, z0..z1 along the camera's view. `end` is the face towards the camera."""

    x0: float
    x1: float
    z0: float
    z1: float
    end: bool
    """Whether the camera sees its front or rear; else its side."""
    label: int

    def faces(self, view: View, y0: float, y1: float, inset: float = 0.0) -> tuple[Points, Points, Points]:
        """Give the corners of the near face, the visible side and the top of a block, narrower by `inset` at the top."""
        x0, x1, z0, z1 = self.x0, self.x1, self.z0, self.z1
        across, along = (inset * 0.35, inset) if self.end else (inset, inset * 0.35)
        near = np.array(((x0, y0, z0), (x1, y0, z0), (x1 - across, y1, z0 + along), (x0 + across, y1, z0 + along)))
        back = np.array(((x0, y0, z1), (x1, y0, z1), (x1 - across, y1, z1 - along), (x0 + across, y1, z1 - along)))
        seen_left = (x0 + x1) / 2 + view.camera.bend * z0 * z0 > 0
        a, b = (0, 3) if seen_left else (1, 2)
        side = np.stack([near[a], back[a], back[b], near[b]])
        top = np.stack([near[3], near[2], back[2], back[3]])
        return near, side, top

    def block(self, view: View, y0: float, y1: float, colour: Colour, inset: float = 0.0) -> tuple[Points, Points]:
        """Fill a block and give its near face and visible side."""
        near, side, top = self.faces(view, y0, y1, inset)
        view.fill(side, shade(colour, 0.72), self.label)
        if y1 < view.camera.height:
            view.fill(top, shade(colour, 1.15), self.label)
        view.fill(near, colour, self.label)
        return near, side

    def patch(self, view: View, face: Points, rects: Points, colour: Colour) -> None:
        """Fill rectangles m×4 (s0, t0, s1, t1), in 0..1, upon a face."""
        s, t = rects[:, [0, 2, 2, 0], None], rects[:, [1, 1, 3, 3], None]
        low = face[0] + s * (face[1] - face[0])
        high = face[3] + s * (face[2] - face[3])
        view.fill(low + t * (high - low), colour, self.label)


def traffic(dice: Dice, street: Street) -> Iterator[Thing]:
    """Put vehicles into the lanes and along the kerbs."""
    taken: dict[int, float] = {}
    for _ in range(dice.count(1, 3)):
        lane = dice.count(0, street.lanes - 1)
        z = taken.get(lane, 4.5) + dice.between(1.0, 7)
        kind = dice.pick(("car", "car", "car", "truck", "bus"))
        x = street.lane(lane) + dice.between(-0.3, 0.3)
        thing = _vehicle(dice, kind, x, z + (2.5 if kind != "car" else 0), across=dice.chance(0.12))
        taken[lane] = thing.footprint[3] if thing.footprint else z
        yield thing


def _vehicle(dice: Dice, kind: str, x: float, z: float, *, across: bool) -> Thing:
    width, length, paint, label = {
        "car": (dice.between(1.7, 1.95), dice.between(3.8, 4.6), _car, CAR),
        "truck": (dice.between(2.3, 2.5), dice.between(6, 8), _truck, TRUCK),
        "bus": (dice.between(2.4, 2.6), dice.between(8, 11), _bus, BUS),
    }[kind]
    wide, deep = (length, width) if across else (width, length)
    body = Body(x - wide / 2, x + wide / 2, z, z + deep, not across, label)
    return Thing(z + deep / 2, partial(paint, body=body), (body.x0 - 0.2, body.x1 + 0.2, z - 0.3, z + deep))


def _wheels(view: View, body: Body, side: Points, near: Points, radius: float) -> None:
    """Dark wheels at the foot of the visible long side, and under the near end."""
    flank = side if body.end else near
    width = 1.6 * radius / float(np.abs(flank[1] - flank[0]).max())
    for face, places in ((flank, (0.18, 0.80)), (near, (0.1, 0.88) if body.end else ())):
        if places:
            half = width / 2 if face is flank else 0.09
            ground = face.copy()
            ground[:2, 1] = 0
            ground[2:, 1] = 2 * radius
            body.patch(view, ground, np.array([(s - half, 0, s + half, 1) for s in places]), DARK)


def _lights(view: View, dice: Dice, body: Body, near: Points, low: float, high: float) -> None:
    lamp = _REAR if dice.chance(0.6) else _FRONT
    if body.end:
        body.patch(view, near, np.array(((0.04, low, 0.2, high), (0.8, low, 0.96, high))), lamp)
        body.patch(view, near, np.array(((0.38, low - 0.25, 0.62, low - 0.02),)), _PLATE)


def _car(view: View, dice: Dice, *, body: Body) -> None:
    colour = mix(dice, *VIVIDS, *GREYS[2:])
    near, side, _ = body.faces(view, 0.3, 0.9)
    _wheels(view, body, side, near, 0.33)
    near, side = body.block(view, 0.3, 0.9, colour)
    _lights(view, dice, body, near, 0.5, 0.85)
    length = 0.7 if body.end else 0.0
    cabin = Body(body.x0 + 0.08 + (0.0 if body.end else 0.7), body.x1 - 0.08 - (0.0 if body.end else 0.5),
                 body.z0 + 0.15 + length * dice.between(0.2, 1.0), body.z1 - 0.1 - length, body.end, body.label)
    near, side = cabin.block(view, 0.9, dice.between(1.4, 1.65), colour, inset=0.45)
    body.patch(view, near, np.array(((0.08, 0.12, 0.92, 0.85),)), GLASS)
    body.patch(view, side, np.array(((0.08, 0.12, 0.48, 0.85), (0.54, 0.12, 0.92, 0.85))), GLASS)


def _bus(view: View, dice: Dice, *, body: Body) -> None:
    colour = mix(dice, *VIVIDS, *GREYS[2:])
    height = dice.between(2.8, 3.3)
    near, side, _ = body.faces(view, 0.4, height)
    _wheels(view, body, side, near, 0.45)
    near, side = body.block(view, 0.4, height, colour)
    flank = side if body.end else near
    panes = np.arange(0.03, 0.9, 0.16)
    rects = np.stack([panes, np.full_like(panes, 0.42), panes + 0.13, np.full_like(panes, 0.8)], axis=-1)
    body.patch(view, flank, rects, GLASS)
    if body.end:
        body.patch(view, near, np.array(((0.06, 0.36, 0.94, 0.8),)), GLASS)
        body.patch(view, near, np.array(((0.2, 0.86, 0.8, 0.96),)), DARK)
    _lights(view, dice, body, near, 0.16, 0.26)


def _truck(view: View, dice: Dice, *, body: Body) -> None:
    colour = mix(dice, *VIVIDS, *GREYS[2:])
    height = dice.between(2.9, 3.6)
    near, side, _ = body.faces(view, 0.5, height)
    _wheels(view, body, side, near, 0.5)
    body.block(view, 0.5, 1.0, DARK)
    near, side = body.block(view, 1.0, height, colour)
    body.patch(view, near, np.array(((0.48, 0.02, 0.52, 0.98), (0.0, 0.0, 1.0, 0.05))), shade(colour, 0.65))
    ribs = np.arange(0.05, 0.75, 0.07)
    rects = np.stack([ribs, np.zeros_like(ribs), ribs + 0.03, np.ones_like(ribs)], axis=-1)
    flank = side if body.end else near
    body.patch(view, flank, rects, shade(colour, 0.65))
    if body.end:
        body.patch(view, near, np.array(((0.02, -0.18, 0.16, -0.06), (0.84, -0.18, 0.98, -0.06))), _REAR)
