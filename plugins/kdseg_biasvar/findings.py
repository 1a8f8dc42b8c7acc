"""From sums to findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve

from kdseg import Findings
from kdseg_biasvar.estimates import columns
from kdseg_biasvar.intervals import drawn
from kdseg_biasvar.measured import Difference, Measured, Sums, mean_ious, measure
from kdseg_biasvar.pictures import pictures_of
from kdseg_biasvar.run_sums import REGIONS
from kdseg_biasvar.words import notes_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from kdseg import DiagnosticContext
    from kdseg_biasvar.components import BiasVariance
    from kdseg_biasvar.design import Design
    from kdseg_biasvar.estimates import Array
    from kdseg_biasvar.measured import View
    from kdseg_biasvar.run_sums import RunSums

Table = dict[str, dict[str, float]]

PREFIXES = ("", "against_")
"""Before the names of the first arm's numbers and tables, and of the second's."""
BY_CLASS = ("nll", "nll_bias", "nll_variance", "brier", "brier_bias", "brier_variance", "error", "error_bias",
            "error_variance")  # fmt: skip
"""Whose differences are given class by class."""
QUANTILES = {"least": 0.0, "quarter": 0.25, "median": 0.5, "three quarters": 0.75, "most": 1.0}


def findings_of(
    ctx: DiagnosticContext,
    options: BiasVariance,
    designs: Sequence[Design],
    pixels: Tensor,
    sums: Sequence[RunSums],
) -> Findings:
    """Give scalars, tables, pictures and sentences."""
    arms = _sums_of(options, designs, pixels, sums)
    blocks = -(-ctx.images // options.neighbours)

    def look(view: View) -> list[Measured]:
        return [measure(arm, view, blocks, options.correction, reference=ctx.reference is not None) for arm in arms]

    overall, by_class, by_region = look("all"), look("class"), look("region")
    for number, (run, design) in enumerate(zip(sums, designs, strict=True)):
        value, left = mean_ious(run, design)
        whole = overall[number]
        overall[number] = evolve(whole, value={**whole.value, **value}, left={**whole.left, **left})
    names = ctx.classes.names
    counted = pixels.double().numpy().sum(0)
    tables: dict[str, Table] = {}
    scalars = {"pixels": float(counted.sum())}
    for prefix, whole, classes, regions, arm in zip(PREFIXES, overall, by_class, by_region, arms, strict=False):
        scalars |= {f"{prefix}{name}": float(value) for name, value in whole.value.items()}
        tables[f"{prefix}class"] = _table(names, {"pixels": counted.sum(1), **classes.value})
        tables[f"{prefix}region"] = _table(REGIONS, {"pixels": counted.sum(0), **regions.value})
        tables[f"{prefix}intervals"] = {name: _row(whole.interval(name)) for name in whole.judged}
        tables[f"{prefix}images"] = _over_images(arm, options, reference=ctx.reference is not None)
    if len(arms) > 1:
        paired = designs[0].numbers == designs[1].numbers
        apart = Difference(overall[0], overall[1], paired)
        by_classes = Difference(by_class[0], by_class[1], paired)
        common = [name for name in overall[0].judged if name in overall[1].value]
        tables["difference"] = {name: _row(apart.interval(name)) for name in common}
        tables |= {f"difference_{name}": _table(names, by_classes.interval(name)) for name in BY_CLASS}
        scalars |= {f"difference_{name}": row["value"] for name, row in tables["difference"].items()}
    return Findings(
        scalars=scalars,
        tables=tables,
        pictures=pictures_of(ctx, options, designs, tables),
        notes=notes_of(ctx, options, designs, tables),
    )


def _sums_of(options: BiasVariance, designs: Sequence[Design], pixels: Tensor, sums: Sequence[RunSums]) -> list[Sums]:
    counted = pixels.double().numpy()
    images = [run.images.numpy() for run in sums]
    of_pixels, *of_arms = drawn([counted, *images], options.neighbours, options.resamples)
    return [
        Sums(design, mine, of_mine, run.left.numpy(), counted, of_pixels)
        for design, mine, of_mine, run in zip(designs, images, of_arms, sums, strict=True)
    ]


def _over_images(arm: Sums, options: BiasVariance, *, reference: bool) -> Table:
    """Give how the images differ: quantiles of each number over those that have a valid pixel."""
    pixels = arm.pixels.sum((1, 2))
    there = pixels > 0
    design = arm.design
    each = columns(
        arm.images.sum((1, 2))[there],
        pixels[there],
        design.samples,
        design.seeds,
        options.correction,
        reference=reference,
    )
    shares = [*QUANTILES.values()]
    if not there.any():
        return _table([*QUANTILES], {name: np.full(len(shares), np.nan) for name in each})
    return _table([*QUANTILES], {name: np.quantile(values, shares) for name, values in each.items()})


def _table(rows: Sequence[str], found: Mapping[str, Array]) -> Table:
    return {row: {name: float(values[number]) for name, values in found.items()} for number, row in enumerate(rows)}


def _row(interval: Mapping[str, Array]) -> dict[str, float]:
    return {name: float(value) for name, value in interval.items()}
