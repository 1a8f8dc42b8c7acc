"""The picture of an inspection: a row a layer, the participants side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kdseg.tiles import Group, Row, Tile, of_components, sheet, tile_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from kdseg.engine.judge.inspect import Seen

    Image = npt.NDArray[np.uint8]

TOLD = (
    "where it looks: mean of |activation| over all channels, 1 is the map's root mean square",
    "components: the first three principal ones of the channels as red, green, blue; grey is 0",
    "dead: channels of one and the same value in all cells",
)


def inspection_sheet(heading: str, image: Image, seen: Mapping[str, Mapping[str, Seen]]) -> Image:
    """Draw the layers of participants that are maps; those of one name in one row.

    Args:
        heading: above all.
        image: H×W×3, uint8.
        seen: by participant and layer.
    """
    layers = merged([[name for name, one in those.items() if one.attention is not None] for those in seen.values()])
    columns = [text for name in seen for text in (f"{name}: where it looks", f"{name}: components")]
    first = Row("image", [Group([Tile(image)]), *(Group([]) for _ in columns[1:])], _size_of(image), TOLD)
    rows = [Row(layer, [group for those in seen.values() for group in _groups(those.get(layer))]) for layer in layers]
    return sheet(heading, [first, *rows], tile_size(*image.shape[:2]), columns)


def merged(orders: list[list[str]]) -> list[str]:
    """Give all names once, in an order that agrees with each of these as far as they agree with each other."""
    found: list[str] = []
    for names in orders:
        place = 0
        for name in names:
            if name in found:
                place = found.index(name) + 1
            else:
                found.insert(place, name)
                place += 1
    return found


def _size_of(image: Image) -> list[str]:
    return [f"{image.shape[0]}x{image.shape[1]}"]


def _groups(seen: Seen | None) -> list[Group]:
    """Give the heat map and the components of a layer; nothing, where the participant lacks it."""
    if seen is None or seen.attention is None or seen.components is None:
        return [Group([]), Group([])]
    layer = seen.layer
    shape = "x".join(map(str, layer.shape))
    spread = np.sqrt(np.nanmean(np.square(seen.components), axis=(1, 2))) if _any(seen.components) else np.zeros(3)
    told = f"{layer.zeros:.0%} zeros" + (f", {len(layer.dead)} dead" if layer.dead else "")
    if layer.not_finite:
        told = f"{layer.not_finite:.1%} not finite"
    return [
        Group.of([seen.attention], [shape], signed=False),
        Group([Tile(of_components(seen.components, 2.5 * spread), told)]),
    ]


def _any(values: npt.NDArray[np.float64]) -> bool:
    return bool(np.isfinite(values).any())
