"""One image, from its random numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg_road.synthroad.dice import Dice
from kdseg_road.synthroad.frontage import frontage
from kdseg_road.synthroad.furniture import furniture
from kdseg_road.synthroad.ground import paint_ground, paint_sky
from kdseg_road.synthroad.layout import draw_street
from kdseg_road.synthroad.people import people
from kdseg_road.synthroad.photo import add_bonnet, photograph
from kdseg_road.synthroad.vehicles import traffic
from kdseg_road.synthroad.view import FAR, NEAR, Camera, View

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from kdseg_road.synthroad.layout import Thing
    from kdseg_road.synthroad.weather import Conditions


def draw_scene(
    generator: np.random.Generator,
    height: int,
    width: int,
    *,
    frequency: Mapping[int, float],
    conditions: Conditions | None,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Give an image H×W×3, RGB, and its mask H×W of train indices.

    Everything is placed in metres and painted from far to near, so that sizes, hiding and the ground's lines follow one
    perspective.

    Args:
        generator: draws the scene.
        height: of the image, in pixels.
        width: likewise.
        frequency: by label, with which probability a thing that shows it is kept. All else stays where it is.
        conditions: weather and night, which change no label; None for a clear day.
    """
    dice = Dice(generator)
    view = View(Camera.draw(dice, height, width), height, width)
    street = draw_street(dice)
    things = [*frontage(dice, street), *furniture(dice, street), *traffic(dice, street), *people(dice)]
    things = [thing for thing in things if thing.span is None or view.sees(thing.span, thing.depth + thing.shade / 2)]
    missing = _missing(things, frequency, generator) if frequency else set()
    paint_sky(view, dice)
    paint_ground(view, dice, street)
    if dice.chance(0.4):  # the sun behind the houses of one side
        side = dice.pick(street.sides)
        view.shadow((side.front, side.kerb - side.sign * dice.between(0.5, 5)), (NEAR, FAR), 0.7)
    for thing in things:
        if thing.span and thing.shade and id(thing) not in missing:
            view.shadow(thing.span, (thing.depth - thing.shade / 2, thing.depth + thing.shade / 2), 0.55)
    view.cast_shadows()
    if conditions:
        view.depths = view.camera.ground_depths(height, width)
    elsewhere = View(view.camera, height, width)  # what is missing is painted there: it takes its random numbers too
    for thing in sorted(things, key=lambda thing: -thing.depth):
        thing.paint(elsewhere if id(thing) in missing else view, dice)
    add_bonnet(view, dice)
    return photograph(view, dice, generator, conditions)


def _missing(things: Sequence[Thing], frequency: Mapping[int, float], generator: np.random.Generator) -> set[int]:
    """Draw which things are left out; a thing of several classes is as rare as the rarest of them."""
    luck = generator.spawn(1)[0].random(len(things))
    return {
        id(thing)
        for thing, drawn in zip(things, luck, strict=True)
        if drawn >= min(frequency.get(label, 1.0) for label in thing.labels)
    }
