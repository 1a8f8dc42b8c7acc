"""What comes between a scene and the camera: fog, rain and night. It changes pixels, never labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
from attrs import frozen

from kdseg_road.synthroad.dice import Dice
from kdseg_road.synthroad.labels import ROAD, SIDEWALK, TRAFFIC_LIGHT

if TYPE_CHECKING:
    import numpy.typing as npt

    from kdseg_road.synthroad.view import Camera, View

    Image = npt.NDArray[np.uint8]
    Light = npt.NDArray[np.float32]

_FOG, _RAIN = (20.0, 60.0), (80.0, 250.0)
"""Metres that can be seen."""
_DIM = np.array((0.85, 0.95, 1.2), np.float32)
_BEAM = np.array((1.1, 1.0, 0.8), np.float32)
_REACH = 25.0  # metres at which the headlights have lost two thirds
_CUT_OFF = 0.08  # of the image's height: how softly their light ends above the horizon


@frozen
class Conditions:
    """The weather and the time of day, with the random numbers of one image."""

    weather: Literal["clear", "rain", "fog"]
    night: bool
    generator: np.random.Generator

    @property
    def grain(self) -> float:
        """How many times as much a sensor's noise shows."""
        return 2.5 if self.night else 1.0

    def seen(self, image: Image, mask: Image, view: View) -> Image:
        """Give the image H×W×3 as the camera sees it."""
        dice, depths = Dice(self.generator), view.depths
        assert depths is not None, "the scene keeps depths where there are conditions"
        light = image.astype(np.float32)
        if self.weather == "rain":
            light = _wet(light * dice.between(0.65, 0.85), mask, dice.between(0.35, 0.65))
        if self.weather != "clear":
            light = _haze(light, depths, dice.between(*(_FOG if self.weather == "fog" else _RAIN)), dice)
        if self.night:
            light *= _lamps(mask, depths, view.camera, dice)
        if self.weather == "rain":
            light = _drops(_streaks(light, dice, 60 if self.night else 110), dice)
        return np.clip(light, 0, 255).astype(np.uint8)


def _haze(light: Light, depths: Light, visibility: float, dice: Dice) -> Light:
    """Let only exp(-3·depth/visibility) of the light through, and the air's own for the rest (Koschmieder 1924).

    At the visibility a twentieth is left, as the meteorological optical range is defined.
    """
    through = np.exp(depths * (-3 / visibility))[..., None]
    grey = dice.between(165, 215)
    air = np.array([grey + dice.between(-8, 8) for _ in range(3)], np.float32)
    return np.asarray(light * through + air * (1 - through), np.float32)


def _wet(light: Light, mask: Image, gloss: float) -> Light:
    """Let road and pavement mirror, in streaks, what stands above them."""
    height = len(light)
    mirrored = cv2.blur(light, (3, height // 2 * 2 + 1))
    ground = ((mask == ROAD) | (mask == SIDEWALK)).astype(np.float32)[..., None] * np.float32(gloss)
    return np.asarray(light * (1 - ground) + mirrored * ground, np.float32)


def _lamps(mask: Image, depths: Light, camera: Camera, dice: Dice) -> Light:
    """Give the light H×W×3 of a night: little everywhere, the beams of the camera's own car, and lit traffic lights."""
    height, width = mask.shape
    row, column = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
    across = (column - camera.column) * depths / camera.focal
    beam = np.exp(-((across / (2.5 + 0.25 * depths)) ** 2) - depths / _REACH)
    beam /= 1 + np.exp((camera.row - row) / (_CUT_OFF * height))
    beam *= dice.between(0.7, 1.0)
    light = dice.between(0.1, 0.22) * _DIM + beam[..., None] * _BEAM
    light[mask == TRAFFIC_LIGHT] = np.maximum(light[mask == TRAFFIC_LIGHT], 0.8)
    return np.asarray(light, np.float32)


def _streaks(light: Light, dice: Dice, brightness: float) -> Light:
    """Add falling drops, drawn out by the exposure, all along one slant."""
    height, width, _ = light.shape
    slant = dice.between(-0.35, 0.35)
    fall = np.array((slant, 1.0)) * height * dice.between(0.06, 0.14)
    starts = np.array([(dice.between(0, width), dice.between(-0.1, 1) * height) for _ in range(dice.count(40, 110))])
    plane = np.zeros((height, width), np.uint8)
    lines = np.stack([starts, starts + fall], axis=1)
    cv2.polylines(plane, list((lines * 16).astype(np.int32)), isClosed=False, color=255, lineType=cv2.LINE_AA, shift=4)
    return np.asarray(light + plane[..., None] * np.float32(brightness / 255 * dice.between(0.4, 0.9)), np.float32)


def _drops(light: Light, dice: Dice) -> Light:
    """Let drops on the glass blur what is behind them."""
    height, width, _ = light.shape
    glass = np.zeros((height, width), np.float32)
    for _ in range(dice.count(2, 7)):
        middle = int(dice.between(0, width)), int(dice.between(0, height))
        cv2.circle(glass, middle, max(1, round(height * dice.between(0.02, 0.06))), 1.0, -1)
    size = height // 16 * 2 + 1
    glass = cv2.blur(glass, (3, 3))[..., None] * np.float32(0.85)
    return np.asarray(light * (1 - glass) + (cv2.blur(light, (size, size)) + 12) * glass, np.float32)
