"""From flat paint to a photograph: texture, light, the lens and the sensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from kdseg.data.samples import IGNORE_INDEX
from kdseg_road.synthroad.labels import BUILDING, FENCE, ROAD, SIDEWALK, SKY, TERRAIN, VEGETATION, WALL
from kdseg_road.synthroad.paint import GREYS, VIVIDS, mix

if TYPE_CHECKING:
    import numpy.typing as npt

    from kdseg_road.synthroad.dice import Dice
    from kdseg_road.synthroad.view import View

_ROWS = 24  # cells of the coarse noise over the image's height; the others double it


def _amplitudes(**by_label: float) -> npt.NDArray[np.float32]:
    table = np.full(256, by_label.pop("others"), np.float32)
    for name, value in by_label.items():
        table[_LABELS[name]] = value
    return table


_LABELS = {
    "road": ROAD, "sidewalk": SIDEWALK, "building": BUILDING, "wall": WALL, "fence": FENCE,
    "vegetation": VEGETATION, "terrain": TERRAIN, "sky": SKY, "truck": 14, "bus": 15, "person":11, "rider":12
}  # fmt: skip
_REEDS = _amplitudes(others=0.0, terrain=0.5, fence=0.2, truck=0.2)
_COURSES = _amplitudes(others=0.0, wall=0.4, bus=0.2)
_CLOUDS = _amplitudes(others=0.06, sky=0.08, vegetation=0.16, terrain=0.10)
_CLUMPS = _amplitudes(others=0.03, sky=0.0, vegetation=0.45, terrain=0.06, building=0.03, wall=0.05)
_GRAIN = _amplitudes(others=0.03, sky=0.01, vegetation=0.25, terrain=0.3, road=0.02, sidewalk=0.35, wall=0.10)


def add_bonnet(view: View, dice: Dice) -> None:
    """At times, hide the foot of the image behind the bonnet of the camera's own car, which counts nowhere."""
    height, width, _ = view.canvas.shape
    if dice.chance(0.4):
        top = height * (1 - dice.between(0.06, 0.14))
        middle, reach = width * dice.between(0.4, 0.6), width * dice.between(0.5, 0.7)
        a = np.linspace(-1, 1, 13)
        arch = np.stack([middle + a * reach, top + (height - top) * a**2 * 0.8], axis=-1)
        corners = np.array(((middle + reach, height + 2), (middle - reach, height + 2)))
        points = np.rint(np.concatenate([arch, corners])).astype(np.int32)
        cv2.fillPoly(view.canvas, [points], (*mix(dice, GREYS + VIVIDS), IGNORE_INDEX))


def photograph(
    view: View, dice: Dice, generator: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Give the image H×W×3 and the mask H×W."""
    mask = cv2.extractChannel(view.canvas, 3)
    image = cv2.cvtColor(view.canvas, cv2.COLOR_RGBA2RGB)
    gain = np.ones(mask.shape, np.float32)
    for octave, amplitudes in enumerate((_CLOUDS, _CLUMPS, _GRAIN)):
        gain += cv2.LUT(mask, amplitudes) * _noise(generator, mask.shape, _ROWS // 4 * 4**octave)
    gain += cv2.LUT(mask, _REEDS) * _noise(generator, mask.shape, 96, 0.15, 1)
    gain += cv2.LUT(mask, _COURSES) * _noise(generator, mask.shape, 96, 1, 0.1)
    image = cv2.multiply(image, cv2.merge([gain, gain, gain]), dtype=cv2.CV_8U)
    image = cv2.GaussianBlur(image, (3, 3), dice.between(0.2, 0.5))
    image = cv2.LUT(image, _development(dice))
    grain = generator.integers(0, 2 * dice.count(1, 4) + 1, image.shape, np.uint8)
    return cv2.subtract(image, grain), mask


def _noise(generator: np.random.Generator, shape: tuple[int, ...], rows: int, fy=1.0, fx=1.0) -> npt.NDArray[np.float32]:
    """Give smooth noise in -1..1, `rows` cells high, so that it looks alike at every size."""
    height, width = shape
    rows = min(rows, height)
    cells = generator.random((max(1, round(rows*fy)), max(1, round(rows * width / height*fx))), np.float32)
    return cv2.resize(cells * 2 - 1, (width, height), interpolation=cv2.INTER_LINEAR)


def _development(dice: Dice) -> npt.NDArray[np.uint8]:
    """Draw exposure, contrast and white balance, as a table 1×256×3."""
    exposure, gamma = dice.between(0.7, 1.25), dice.between(0.85, 1.2)
    balance = np.array([dice.between(0.88, 1.12) for _ in range(3)])
    haze = dice.between(0, 20)
    level = (np.arange(256) / 255) ** gamma
    values = haze + (255 - haze) * level[:, None] * balance * exposure
    return np.clip(values, 0, 255).astype(np.uint8)[None]
