"""The picture of a profile: which layers take the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2

from kdseg.charts import BLACK, COLOURS, GREY, PALE, WIDTH, blank, write

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

ROW, HEAD, FOOT, LEFT = 22, 48, 16, 250
MOST = 24
"""Layers that are drawn."""


def draw_profile(found: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    """Draw the costliest layers of a profile as bars of milliseconds, RGB, with their share of the operations beside.

    Args:
        found: as `kdseg.engine.profile.profile.profile` gives it.
    """
    layers = costliest(found, MOST)
    sheet = blank(WIDTH + 140, HEAD + ROW * len(layers) + FOOT)
    height, width = found["size"]
    write(sheet, f"{found['name']}, {height}x{width}: milliseconds by layer (share of all multiplications)", (16, 24))
    longest = max((layer["milliseconds"] for layer in layers), default=1.0) or 1.0
    room = sheet.shape[1] - LEFT - 150
    for number, layer in enumerate(layers):
        base = HEAD + ROW * number
        write(sheet, f"{layer['name'] or 'itself'}  {layer['kind']}"[-32:], (LEFT - 10, base + 15), BLACK, align=1)
        end = LEFT + round(room * layer["milliseconds"] / longest)
        cv2.rectangle(sheet, (LEFT, base + 3), (LEFT + room, base + 18), PALE, 1)
        cv2.rectangle(sheet, (LEFT, base + 3), (end, base + 18), COLOURS[1], cv2.FILLED)
        share = layer["macs"] / found["macs"] if found["macs"] else 0.0
        text = f"{layer['milliseconds']:.2f} ms" + (f"  ({share:.0%})" if layer["macs"] else "")
        write(sheet, text, (LEFT + room + 10, base + 15), GREY)
    return sheet


def costliest(found: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
    """Give the layers of a profile that took longest."""
    timed = [layer for layer in found["layers"] if layer["milliseconds"] is not None]
    return sorted(timed, key=lambda layer: -layer["milliseconds"])[:most]
