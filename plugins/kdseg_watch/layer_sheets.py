"""Features as sheets of tiles: a row a tap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kdseg.feature_maps import attention, dead_channels, principal_components, resized
from kdseg.tiles import Group, Row, Tile, of_components, sheet, sheet_below, tile_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]
    Values = npt.NDArray[np.float64]

COMPONENTS = 3
CHANNELS_TOLD = (
    "where it looks: mean of |activation| over all channels, 1 is the map's root mean square",
    "channels: activations; dark blue is 0, yellow high; blue below 0, red above where both occur",
    "the scale at a row's end holds for all of it; what lies beyond has the last shade",
)
COMPONENTS_TOLD = (
    "component: how far a cell lies along it",
    "per cent: its share of the variance",
    "RGB: 1 red, 2 green, 3 blue; grey is 0",
)
DIFFERENCE_TOLD = (
    "mean of |activation| over all channels,",
    "1 is the map's root mean square",
    "rms: the difference's root mean square",
)


def channels_sheet(
    features: Mapping[str, Values], chosen: Mapping[str, Sequence[int]], images: Image, headings: Sequence[str]
) -> Image:
    """Draw where each tap looks, and some of its channels.

    Args:
        features: N×C×h×w by tap.
        chosen: channels by tap.
        images: N×H×W×3, uint8.
        headings: of each image.
    """
    maps = {tap: attention(values) for tap, values in features.items()}
    sheets = []
    for number, (image, heading) in enumerate(zip(images, headings, strict=True)):
        rows = [
            Row(
                tap,
                [
                    Group.of([maps[tap][number]], ["where it looks"], signed=False),
                    Group.of([values[number, one] for one in chosen[tap]], [f"channel {one}" for one in chosen[tap]]),
                ],
                notes_of(values),
            )
            for tap, values in features.items()
        ]
        sheets.append(_below_image(heading, image, rows, CHANNELS_TOLD))
    return sheet_below(sheets)


def components_sheet(features: Mapping[str, Values], images: Image, headings: Sequence[str]) -> Image:
    """Draw the first principal components of each tap, found over all images at once.

    Args:
        features: N×C×h×w by tap.
        images: N×H×W×3, uint8.
        headings: of each image.
    """
    found = {tap: principal_components(values, COMPONENTS) for tap, values in features.items()}
    sheets = []
    for number, (image, heading) in enumerate(zip(images, headings, strict=True)):
        rows = []
        for tap, values in features.items():
            maps, shares = found[tap].maps, found[tap].shares
            captions = [f"component {place}: {share:.0%}" for place, share in enumerate(shares, start=1)]
            colours = of_components(maps[number], reach=2.5 * _spread(maps))
            rows.append(
                Row(tap, [Group([Tile(colours, "1-3 as RGB")]), Group.of([*maps[number]], captions, signed=True)],
                    notes_of(values))
            )  # fmt: skip
        sheets.append(_below_image(heading, image, rows, COMPONENTS_TOLD))
    return sheet_below(sheets)


def difference_sheet(
    names: tuple[str, str],
    pairs: Mapping[tuple[str, str], tuple[Values, Values]],
    images: Image,
    headings: Sequence[str],
) -> Image:
    """Draw where a learner and its source look, and the difference.

    Args:
        names: of the learner and of the source.
        pairs: features N×C×h×w of both by their taps; the source's map is brought to the learner's size.
        images: N×H×W×3, uint8.
        headings: of each image.
    """
    maps = {taps: attention_pair(*both) for taps, both in pairs.items()}
    sheets = []
    for number, (image, heading) in enumerate(zip(images, headings, strict=True)):
        rows = []
        for (one, two), (mine, theirs) in maps.items():
            title = one if one == two else f"{one} -> {two}"
            difference = mine[number] - theirs[number]
            rms = float(np.sqrt(np.nanmean(np.square(difference)))) if np.isfinite(difference).any() else np.nan
            groups = [
                Group.of([mine[number], theirs[number]], [*names], signed=False),
                Group.of([difference], [f"{names[0]} - {names[1]}"], signed=True),
            ]
            rows.append(Row(title, groups, [f"rms {rms:.2f}"]))
        sheets.append(_below_image(heading, image, rows, DIFFERENCE_TOLD))
    return sheet_below(sheets)


def attention_pair(mine: Values, theirs: Values) -> tuple[Values, Values]:
    """Give where both look, N×h×w each, at the learner's size."""
    ours = attention(mine)
    other = np.abs(theirs).mean(1)
    return ours, attention(resized(other, (ours.shape[1], ours.shape[2]))[:, None])


def notes_of(values: Values) -> list[str]:
    """Give what is written beside features N×C×h×w."""
    _, channels, height, width = values.shape
    notes = [f"{channels} channels", f"{height}x{width} cells"]
    lost = ~np.isfinite(values)
    if lost.any():
        notes.append(f"{lost.mean():.1%} not finite")
    dead = len(dead_channels(values))
    if dead:
        notes.append(f"{dead} of them constant")
    return notes


def _spread(maps: Values) -> Values:
    """Give the standard deviation of each component over all images."""
    spread: Values = (
        np.sqrt(np.nanmean(np.square(maps), axis=(0, 2, 3))) if np.isfinite(maps).any() else maps[0, :, 0, 0]
    )
    return spread


def _below_image(heading: str, image: Image, rows: Sequence[Row], told: Sequence[str]) -> Image:
    """Set rows below the image that they belong to, and beside that how they are read."""
    groups = [Group([Tile(image)]), *(Group([]) for _ in rows[0].groups[1:])]
    size = tile_size(*image.shape[:2])
    first = Row("image", groups, [f"{image.shape[0]}x{image.shape[1]}"], told)
    return sheet(heading, [first, *rows], size)
