"""From flat paint to a photograph: texture, light, the lens and the sensor."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from kdseg.data.samples import IGNORE_INDEX
from kdseg_road.synthroad import labels
from kdseg_road.synthroad.paint import GREYS, VIVIDS, mix
from kdseg_road.synthroad.view import NEAR

if TYPE_CHECKING:
    import numpy.typing as npt

    from kdseg_road.synthroad.dice import Dice
    from kdseg_road.synthroad.view import View
    from kdseg_road.synthroad.weather import Conditions

    Image = npt.NDArray[np.uint8]

_ROWS = 64  # of texture, over the image's height, so that it looks alike at every size
_NEUTRAL, _WARM = (50, 50, 50), (60, 0, -60)  # what a # adds to red, green and blue, and a . subtracts
_TEXTURES = {
    labels.SIDEWALK: (_WARM, "#.#. #.#. #.#. #.#."),
    labels.BUILDING: (_NEUTRAL, "#### #..# #..# ####"),
    labels.WALL: (_NEUTRAL, "#### #### .... ...."),
    labels.FENCE: (_WARM, "##.. ##.. ##.. ##.."),
    labels.POLE: (_WARM, "#### #### .... ...."),
    labels.TRAFFIC_LIGHT: (_NEUTRAL, "#.#. .#.# #.#. .#.#"),
    labels.TRAFFIC_SIGN: (_WARM, "#.#. .#.# #.#. .#.#"),
    labels.VEGETATION: (_NEUTRAL, "##.. ##.. ..## ..##"),
    labels.TERRAIN: (_NEUTRAL, "..## .##. ##.. #..#"),
    labels.PERSON: (_NEUTRAL, "#..# ##.. .##. ..##"),
    labels.RIDER: (_WARM, "..## .##. ##.. #..#"),
    labels.CAR: (_NEUTRAL, "#... .... .... ...."),
    labels.TRUCK: (_NEUTRAL, "#.#. #.#. #.#. #.#."),
    labels.BUS: (_WARM, "#### .... #### ...."),
    labels.BICYCLE: (_NEUTRAL, "#### .... #### ...."),
}
"""Tiles of 4x4 cells. Classes that share colours differ in tint or tile, and no pixel alone shows a tile."""


def photograph(
    view: View, dice: Dice, generator: np.random.Generator, conditions: Conditions | None
) -> tuple[Image, Image]:
    """Give the image H×W×3 and the mask H×W."""
    mask = np.ascontiguousarray(view.canvas[..., 3])
    height, width = mask.shape
    relief = _tiles().take(mask * np.uint16(16) + _phases(height, width)).view(np.uint8).reshape(height, width, 4)
    image = cv2.cvtColor(cv2.addWeighted(view.canvas, 1, relief, 1, -128), cv2.COLOR_RGBA2RGB)
    if conditions:
        image = conditions.seen(np.asarray(image, np.uint8), mask, view)
    cells = generator.integers(0, 256, (6, max(2, round(6 * width / height))), np.uint8)
    clouds = cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR)
    image = cv2.addWeighted(image, 1, cv2.merge([clouds] * 3), 0.16, -20)
    image = cv2.LUT(cv2.GaussianBlur(image, (3, 3), dice.between(0.2, 0.5)), _development(dice))
    grain = np.frombuffer(generator.bytes(image.size), np.uint8).reshape(image.shape)
    noise = dice.between(2, 10) * (conditions.grain if conditions else 1)
    return np.asarray(cv2.addWeighted(image, 1, grain, noise / 255, -noise / 2), np.uint8), mask


@cache
def _tiles() -> npt.NDArray[np.uint32]:
    """Give the textures, as four bytes a cell around 128, by label·16 + cell."""
    tiles = np.full((256, 16, 4), 128, np.uint8)
    for label, (tint, tile) in _TEXTURES.items():
        signs = np.array([1 if cell == "#" else -1 for cell in tile.replace(" ", "")])
        tiles[label, :, :3] += (signs[:, None] * tint).astype(np.uint8)  # wraps, as it should
    return tiles.view(np.uint32).ravel()


@cache
def _phases(height: int, width: int) -> npt.NDArray[np.uint16]:
    """Give each pixel's cell within its tile, 0..15."""
    cell = max(1.0, height / _ROWS)
    down, across = ((np.arange(size) / cell).astype(np.uint16) % 4 for size in (height, width))
    return down[:, None] * np.uint16(4) + across


def _development(dice: Dice) -> Image:
    """Draw exposure, contrast, haze and white balance, as a table 1×256×3."""
    exposure, gamma, haze = dice.between(0.7, 1.3), dice.between(0.8, 1.25), dice.between(0, 20)
    balance = np.array([dice.between(0.8, 1.2) for _ in range(3)])
    levels = haze + (255 - haze) * (np.arange(256) / 255) ** gamma
    table: Image = np.clip(levels[None, :, None] * balance * exposure, 0, 255).astype(np.uint8)
    return table


def add_bonnet(view: View, dice: Dice) -> None:
    """At times, hide the foot of the image behind the bonnet of the camera's own car, which counts nowhere."""
    if dice.chance(0.4):
        height, width, _ = view.canvas.shape
        top = height * (1 - dice.between(0.06, 0.14))
        middle, reach = width * dice.between(0.4, 0.6), width * dice.between(0.5, 0.7)
        across = np.linspace(-1, 1, 13)
        arch = np.stack([middle + across * reach, top + (height - top) * across**2 * 0.8], axis=-1)
        foot = np.array(((middle + reach, height + 2), (middle - reach, height + 2)))
        outline = np.concatenate([arch, foot]).astype(np.int32)
        cv2.fillPoly(view.canvas, [outline], (*mix(dice, *GREYS, *VIVIDS), IGNORE_INDEX))
        if view.depths is not None:
            cv2.fillPoly(view.depths, [outline], (NEAR,))
