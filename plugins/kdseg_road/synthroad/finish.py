"""From flat paint to a photograph: texture, light, the lens and the sensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from kdseg.data.samples import IGNORE_INDEX
from kdseg_road.synthroad import labels as L
from kdseg_road.synthroad.paint import GREYS, VIVIDS, mix

if TYPE_CHECKING:
    import numpy.typing as npt

    from kdseg_road.synthroad.dice import Dice
    from kdseg_road.synthroad.view import View

_CELLS = 64  # of texture and of noise, over the image's height
_RELIEF = 40.0

# label: tint, tile
_GREY = (1.0, 1.0, 1.0)
_WARM = (1.2, 0.0, -1.2)
_WEAVES = {
    L.SIDEWALK: (_WARM, ("#.#.", ".#.#", "#.#.", ".#.#")),
    L.BUILDING: (_GREY, ("####", "#..#", "#..#", "####")),
    L.WALL: (_GREY, ("####", "####", "....", "....")),
    L.FENCE: (_WARM, ("##..", "##..", "##..", "##..")),
    L.POLE: (_WARM, ("####", "####", "....", "....")),
    L.TRAFFIC_LIGHT: (_GREY, ("#.#.", ".#.#", "#.#.", ".#.#")),
    L.VEGETATION: (_GREY, ("##..", "##..", "..##", "..##")),
    L.TERRAIN: (_GREY, ("#.#.", "#.#.", "#.#.", "#.#.")),
    L.PERSON: (_GREY, ("#..#", "##..", ".##.", "..##")),
    L.RIDER: (_WARM, ("..##", ".##.", "##..", "#..#")),
    L.CAR: (_GREY, ("#...", "....", "....", "....")),
    L.TRUCK: (_GREY, ("#.#.", "#.#.", "#.#.", "#.#.")),
    L.BUS: (_WARM, ("####", "....", "####", "....")),
    L.BICYCLE: (_WARM, ("####", "#..#", "#..#", "####")),
}
_TILES = np.zeros((256, 4, 4, 3), np.float32)
for _label, (_tint, _tile) in _WEAVES.items():
    _TILES[_label] = np.array([[1 if cell == "#" else -1 for cell in row] for row in _tile])[..., None] * _RELIEF * np.array(_tint)


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
        cv2.fillPoly(view.canvas, [points], (*mix(dice, *GREYS, *VIVIDS), IGNORE_INDEX))


def photograph(
    view: View, dice: Dice, generator: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Give the image H×W×3 and the mask H×W."""
    mask = cv2.extractChannel(view.canvas, 3)
    image = cv2.cvtColor(view.canvas, cv2.COLOR_RGBA2RGB).astype(np.float32)
    h, w = mask.shape
    cell = max(1, h / _CELLS)
    r = (np.arange(h) / cell).astype(int)[:, None] % 4
    c = (np.arange(w) / cell).astype(int)[None] % 4
    image += _TILES[mask, r, c]
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
    exposure, gamma = dice.between(0.6, 1.3), dice.between(0.8, 1.25)
    balance = np.array([dice.between(0.8, 1.2) for _ in range(3)])
    haze = dice.between(0, 20)
    level = (np.arange(256) / 255) ** gamma
    values = haze + (255 - haze) * level[:, None] * balance * exposure
    return np.clip(values, 0, 255).astype(np.uint8)[None]
