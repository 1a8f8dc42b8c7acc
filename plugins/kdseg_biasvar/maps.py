"""Error, bias and variance of each pixel of a few images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from attrs import frozen

from kdseg import IGNORE_INDEX, Example
from kdseg.charts import colour_mask, grid, scale, shades
from kdseg_biasvar.batch import Batch
from kdseg_biasvar.estimates import Array, Correction, columns
from kdseg_biasvar.quantities import at_pixels
from kdseg_biasvar.reading import places_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from kdseg import DiagnosticContext
    from kdseg_biasvar.components import BiasVariance
    from kdseg_biasvar.design import Design

    Image = npt.NDArray[np.uint8]

WIDEST = 480
"""Columns of a map; larger images are made smaller."""
PARTS = ("nll", "nll_bias", "nll_variance")
END = 0.99
"""The share of pixels that the shades tell apart; those above have the last one."""


@frozen(eq=False)
class _Maps:
    """What one image shows."""

    example: Example
    arms: Sequence[dict[str, Array]]
    """Of each arm, H×W numbers by name; 0 where ignored."""


def sheets_of(ctx: DiagnosticContext, options: BiasVariance, designs: Sequence[Design]) -> list[Image]:
    """Give a sheet of each example: image and truth, and of each arm a map of error, of bias and of variance.

    Shades mean the same on all sheets: those of error and bias, and those of variance.
    """
    found = [_maps_of(example, ctx, options, designs) for example in ctx.examples()]
    ends = {name: _end([arm[name] for maps in found for arm in maps.arms]) for name in ("nll", "nll_variance")}
    return [_sheet(maps, ctx.classes.colours, designs, ends["nll"], ends["nll_variance"]) for maps in found]


@torch.no_grad()
def _maps_of(example: Example, ctx: DiagnosticContext, options: BiasVariance, designs: Sequence[Design]) -> _Maps:
    device = next(iter(example.trials)).device
    target = torch.from_numpy(example.target.copy())[None].to(device)
    batch = Batch(designs, len(ctx.classes), target, options.radius)
    batch.read_all(example.trials, places_of(designs, reference=ctx.reference is not None))
    correction: Correction = "none" if options.correction == "none" else "scaled"
    arms = []
    for design, totals in zip(designs, batch.totals, strict=True):
        maps = {name: np.zeros(example.target.size) for name in PARTS}
        for chunk in batch.chunks:
            values = at_pixels(totals.at(chunk.pixels), design.samples, design.seeds, chunk.labels, None).cpu().numpy()
            each = columns(values, np.ones(len(values)), design.samples, design.seeds, correction, reference=False)
            for name, whole in maps.items():
                whole[chunk.places.cpu().numpy()] = each[name]
        arms.append({name: whole.reshape(example.target.shape) for name, whole in maps.items()})
    return _Maps(example, arms)


def _end(maps: Sequence[Array]) -> float:
    """Give the value of the last shade."""
    values = np.concatenate([values.ravel() for values in maps]) if maps else np.zeros(1)
    end = float(np.quantile(values, END))
    return end if end > 0 else 1.0


def _sheet(
    maps: _Maps, colours: Sequence[tuple[int, int, int]], designs: Sequence[Design], error: float, variance: float
) -> Image:
    example = maps.example
    hidden = example.target == IGNORE_INDEX
    painted = [
        [shades(arm[name], end, hidden) for name, end in zip(PARTS, (error, error, variance), strict=True)]
        for arm in maps.arms
    ]
    truth = colour_mask(example.target, colours)
    words = ["error", "bias", "variance"]
    if len(designs) == 1:
        rows = [(["image", "truth", *words], [example.image, truth, *painted[0]])]
    else:
        rows = [
            ([first, *(f"{design.name}: {word}" for word in words)], [cell, *cells])
            for first, cell, design, cells in zip(
                ("image", "truth"), (example.image, truth), designs, painted, strict=True
            )
        ]
    sheet = np.concatenate([grid([[_fitted(cell) for cell in cells]], captions) for captions, cells in rows])
    width = sheet.shape[1]
    text = "nats; ignored pixels are grey, values below 0 as 0"
    return np.concatenate(
        [
            sheet,
            scale(width, f"error and bias, {text}", f"{error:.2g} and more"),
            scale(width, f"variance, {text}", f"{variance:.2g} and more"),
        ]
    )


def _fitted(cell: Image) -> Image:
    height, width = cell.shape[:2]
    if width <= WIDEST:
        return cell
    size = (WIDEST, max(1, round(height * WIDEST / width)))
    return cv2.resize(cell, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
