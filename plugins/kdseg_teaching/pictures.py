"""The diagnostic's pictures: two charts over temperature, a reliability diagram, and where the entropy lies."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
from torch.special import entr

from kdseg.charts import (
    BLACK,
    BOTTOM,
    GREY,
    HEIGHT,
    LEFT,
    TOP,
    WIDTH,
    Panel,
    blank,
    colour_mask,
    grid,
    line_chart,
    scale,
    shades,
    write,
)
from kdseg.data.samples import IGNORE_INDEX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

    from kdseg.diagnostics import Example
    from kdseg_teaching.findings import Table

    Image = npt.NDArray[np.uint8]

WIDEST = 480
"""Columns of a map; larger images are made smaller."""
BLUE, RED = (86, 150, 205), (230, 150, 130)


def pictures_of(
    tables: Mapping[str, Table],
    examples: Iterable[Example],
    colours: Sequence[tuple[int, int, int]],
    temperature: float,
) -> dict[str, Image]:
    """Draw all pictures, by name; no maps where no image is shown.

    Args:
        tables: the findings'.
        examples: images, for the maps.
        colours: the classes'.
        temperature: of the maps.
    """
    rows = tables["temperature"]

    def column(name: str) -> list[float]:
        return [row[name] for row in rows.values()]

    labels, below = [name.removeprefix("T=") for name in rows], "temperature"
    parts = {part: column(f"entropy_{part}") for part in ("right", "wrong", "boundary", "interior")}
    others = {part: column(f"non_target_{part}") for part in ("entropy", "information")}
    pictures = {
        "entropy_by_temperature": line_chart(
            "Entropy as a share of the most, ln C, by pixels",
            below,
            labels,
            {"all": column("entropy"), **parts},
            y_end=1.0,
        ),
        "non_target_by_temperature": line_chart("Non-target probabilities, nats", below, labels, others),
        "reliability": reliability(tables["reliability"]),
    }
    maps = [_row(example, colours, temperature) for example in examples]
    if maps:
        captions = ["image", "truth", "prediction", f"entropy T={temperature:g} (0..1)"]
        sheet = grid(maps, captions)
        below_all = scale(sheet.shape[1], "entropy; ignored pixels are grey", "1")
        pictures["entropy_maps"] = np.concatenate([sheet, below_all])
    return pictures


def reliability(bins: Table) -> Image:
    """Draw accuracy over confidence, with the gap between the two, and below it where the pixels are."""
    sheet = blank()
    right, middle = WIDTH - 210, HEIGHT - BOTTOM - 90
    panel = Panel(sheet, right, TOP, middle, 1.0)
    lower = Panel(sheet, right, middle + 16, HEIGHT - BOTTOM, 1.0)
    ticks = (0, 0.25, 0.5, 0.75, 1)
    pixels = sum(row["pixels"] for row in bins.values())
    width = 1 / len(bins)
    for number, row in enumerate(bins.values()):
        if row["pixels"]:
            span = (number * width, (number + 1) * width)
            panel.bar(span, (0, min(row["accuracy"], row["confidence"])), BLUE)
            panel.bar(span, (row["accuracy"], row["confidence"]), RED)
            panel.level(span, row["accuracy"], BLACK)
            lower.bar(span, (0, row["pixels"] / pixels), GREY)
    panel.axes({}, ticks)
    lower.axes({tick: f"{tick:g}" for tick in ticks}, (0, 1))
    cv2.line(sheet, panel.at(0, 0), panel.at(1, 1), BLACK, 1, cv2.LINE_AA)
    write(sheet, "Reliability", (LEFT, TOP - 16))
    write(sheet, "confidence: the highest probability", ((LEFT + right) // 2, HEIGHT - 14), GREY, align=0.5)
    for number, (colour, text) in enumerate(
        ((BLUE, "accuracy"), (RED, "gap to confidence"), (GREY, "share of pixels"))
    ):
        row_at = TOP + 14 + 24 * number
        cv2.rectangle(sheet, (right + 16, row_at - 10), (right + 40, row_at + 2), colour, cv2.FILLED)
        write(sheet, text, (right + 48, row_at))
    cv2.line(sheet, (right + 16, TOP + 4), (right + 39, TOP + 4), BLACK, 3)
    return sheet


def _row(example: Example, colours: Sequence[tuple[int, int, int]], temperature: float) -> list[Image]:
    """Give image, truth, prediction and entropy of one image; in the last, ignored pixels are grey."""
    logits = next(iter(example.trials))[0].double()
    prediction = logits.argmax(0).byte().cpu().numpy()
    entropy = entr((logits / temperature).softmax(0)).sum(0) / math.log(len(logits))
    painted = shades(entropy.cpu().numpy(), 1.0, example.target == IGNORE_INDEX)
    cells = [example.image, colour_mask(example.target, colours), colour_mask(prediction, colours), painted]
    height, width = example.target.shape
    if width <= WIDEST:
        return cells
    size = (WIDEST, max(1, round(height * WIDEST / width)))
    ways = (cv2.INTER_AREA, cv2.INTER_NEAREST, cv2.INTER_NEAREST, cv2.INTER_AREA)
    return [cv2.resize(cell, size, interpolation=way) for cell, way in zip(cells, ways, strict=True)]
