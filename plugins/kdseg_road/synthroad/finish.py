"""From flat paint to a photograph: texture, light, the lens and the sensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from kdseg.data.samples import IGNORE_INDEX
from kdseg_road.synthroad import labels as L
from kdseg_road.synthroad.paint import BLUE, DARK, EARTH, GREEN, LIGHT, MID, RED, YELLOW, mix

if TYPE_CHECKING:
    import numpy.typing as npt

    from kdseg_road.synthroad.dice import Dice
    from kdseg_road.synthroad.view import View

_CELLS = 64  # of noise, over the image's height
# label: second tone, speckle, upright streaks, level streaks
_SECOND = {
    L.ROAD: (MID, 0.2, 0, 0),
    L.SIDEWALK: (EARTH, 1, 0, 0),
    L.BUILDING: (DARK, 0.3, 0, 0),
    L.WALL: (LIGHT, 0, 0, 1),
    L.FENCE: (GREEN, 0, 0.7, 0),
    L.POLE: (DARK, 0, 0.3, 0),
    L.TRAFFIC_LIGHT: (DARK, 0.3, 0, 0),
    L.TRAFFIC_SIGN: (LIGHT, 0.3, 0, 0),
    L.VEGETATION: (DARK, 1, 0, 0),
    L.TERRAIN: (EARTH, 0, 1, 0),
    L.SKY: (LIGHT, 0, 0, 0),
    L.PERSON: (EARTH, 0, 0, 1),
    L.RIDER: (GREEN, 0.8, 0, 0),
    L.CAR: (LIGHT, 0, 0, 0),
    L.TRUCK: (MID, 0, 0.7, 0),
    L.BUS: (DARK, 0, 0, 0.7),
    L.BICYCLE: (LIGHT, 0.3, 0, 0),
}
_ALPHA = np.zeros((3, 256), np.float32)
for _label, (_, *_amounts) in _SECOND.items():
    _ALPHA[:, _label] = _amounts


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
        cv2.fillPoly(view.canvas, [points], (*mix(dice, MID, RED, BLUE, DARK, LIGHT), IGNORE_INDEX))


def photograph(
    view: View, dice: Dice, generator: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Give the image H×W×3 and the mask H×W."""
    mask = cv2.extractChannel(view.canvas, 3)
    image = cv2.cvtColor(view.canvas, cv2.COLOR_RGBA2RGB).astype(np.float32)
    alpha = np.zeros(mask.shape, np.float32)
    for amounts, (rows, columns) in zip(_ALPHA, ((1.0, 1.0), (0.15, 1.0), (1.0, 0.1)), strict=True):
        noise = _noise(generator, mask.shape, rows, columns)
        alpha += cv2.LUT(mask, amounts) * np.clip(0.5 + 1.5 * noise, 0, 1)
    table = np.zeros((256, 1, 3), np.uint8)
    for label, (tone, *_) in _SECOND.items():
        table[label] = mix(dice, tone)
    second = cv2.LUT(cv2.merge([mask] * 3), table)
    image += (second - image) * alpha[..., None]
    image *= (1 + 0.15 * _noise(generator, mask.shape, 0.1, 0.1))[..., None]
    image = np.clip(image, 0, 255).astype(np.uint8)
    image = cv2.GaussianBlur(image, (3, 3), dice.between(0.2, 0.5))
    image = cv2.LUT(image, _development(dice))
    grain = generator.integers(0, 2 * dice.count(1, 4) + 1, image.shape, np.uint8)
    return cv2.subtract(image, grain), mask


def _noise(generator: np.random.Generator, shape: tuple[int, ...], rows: float, columns: float) -> npt.NDArray[np.float32]:
    """Give smooth noise in -1..1, `rows` cells high, so that it looks alike at every size."""
    height, width = shape
    cells = generator.random((max(1, round(rows * _CELLS)), max(1, round(_CELLS * width / height * columns))), np.float32)
    return cv2.resize(cells * 2 - 1, (width, height), interpolation=cv2.INTER_LINEAR)


def _development(dice: Dice) -> npt.NDArray[np.uint8]:
    """Draw exposure, contrast and white balance, as a table 1×256×3."""
    exposure, gamma = dice.between(0.7, 1.25), dice.between(0.85, 1.2)
    balance = np.array([dice.between(0.88, 1.12) for _ in range(3)])
    haze = dice.between(0, 20)
    level = (np.arange(256) / 255) ** gamma
    values = haze + (255 - haze) * level[:, None] * balance * exposure
    return np.clip(values, 0, 255).astype(np.uint8)[None]
