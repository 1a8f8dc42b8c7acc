"""One image, from its random numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg_road.synthroad.dice import Dice
from kdseg_road.synthroad.finish import add_bonnet, photograph
from kdseg_road.synthroad.frontage import frontage
from kdseg_road.synthroad.furniture import furniture
from kdseg_road.synthroad.people import people
from kdseg_road.synthroad.street import draw_street, paint_ground, paint_sky
from kdseg_road.synthroad.vehicles import traffic
from kdseg_road.synthroad.view import Camera, View

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def draw_scene(
    generator: np.random.Generator, height: int, width: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Give an image H×W×3 and its mask H×W."""
    dice = Dice(generator)
    view = View(Camera.draw(dice, height, width), height, width)
    street = draw_street(dice)
    paint_sky(view, dice)
    paint_ground(view, dice, street)
    things = [
        *frontage(dice, street),
        *furniture(dice, street),
        *traffic(dice, street),
        *people(dice, street),
    ]
    for thing in things:
        if thing.footprint:
            view.shadow(*thing.footprint, 0.55)
    view.cast_shadows()
    for thing in sorted(things, key=lambda thing: -thing.depth):
        thing.paint(view, dice)
    add_bonnet(view, dice)
    return photograph(view, dice, generator)
