"""The diagnostic's pictures: bias and variance by class as bars, and of a few images as maps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kdseg.charts import BLACK, GREY, PALE, Panel, blank, round_up, write
from kdseg_biasvar.maps import sheets_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from kdseg import DiagnosticContext
    from kdseg_biasvar.components import BiasVariance
    from kdseg_biasvar.design import Design

    Image = npt.NDArray[np.uint8]
    Table = Mapping[str, Mapping[str, float]]

COLOURS = (((0, 114, 178), (130, 195, 235)), ((213, 94, 0), (240, 185, 110)))
"""Of bias and variance, of each arm."""
BAR, GAP = 16, 10
LEFT, TOP, BOTTOM, RIGHT = 150, 44, 56, 40


def pictures_of(
    ctx: DiagnosticContext, options: BiasVariance, designs: Sequence[Design], tables: Mapping[str, Table]
) -> dict[str, Image]:
    """Draw all pictures, by name; no maps where no image is shown."""
    prefixes = ("", "against_")[: len(designs)]
    bars = {
        design.name: {
            "all": {name: row["value"] for name, row in tables[f"{prefix}intervals"].items()},
            **tables[f"{prefix}class"],
        }
        for design, prefix in zip(designs, prefixes, strict=True)
    }
    sheets = sheets_of(ctx, options, designs)
    return {
        "bias_variance_by_class": bar_chart("Negative log-likelihood, nats a pixel: bias and variance", bars, "nll"),
        **{f"bias_variance_map_{number}": sheet for number, sheet in enumerate(sheets, 1)},
    }


def bar_chart(title: str, arms: Mapping[str, Table], measure: str) -> Image:
    """Draw a lying bar of each row and arm, bias in a dark and variance in a pale shade; nan is left out.

    Args:
        title: above.
        arms: tables with the same rows, by the arm's name.
        measure: ``nll`` or ``brier``; a bar is as long as this error. A bias below 0 is taken for 0.
    """
    rows = [*next(iter(arms.values()))]
    height = GAP + BAR * len(arms)
    errors = [table[row][measure] for table in arms.values() for row in rows]
    end = round_up(max((value for value in errors if math.isfinite(value)), default=0.0))
    legend = 24 * len(arms)
    top = TOP + legend
    sheet = blank(760, top + BOTTOM + height * len(rows))
    panel = Panel(sheet, 760 - RIGHT, top, sheet.shape[0] - BOTTOM, float(height * len(rows)), end, LEFT)
    ticks = {end * share: f"{end * share:g}" for share in (0, 0.25, 0.5, 0.75, 1)}
    for x in ticks:
        panel.bar((x - 0.001 * end, x + 0.001 * end), (0, panel.y_end), PALE)
    for number, row in enumerate(rows):
        y = panel.y_end - height * number - GAP / 2
        write(sheet, row, (LEFT - 8, panel.at(0, y - (height - GAP) / 2)[1] + 5), BLACK, align=1)
        for table, colours in zip(arms.values(), COLOURS, strict=False):
            bias, error = max(table[row][f"{measure}_bias"], 0.0), table[row][measure]
            for part, colour in zip(((0.0, bias), (bias, error)), colours, strict=True):
                if part[0] < part[1]:  # never of nan
                    panel.bar(part, (y - BAR + 1, y), colour)
            y -= BAR
    panel.axes(ticks, ())
    write(sheet, title, (LEFT, TOP - 16))
    for number, (name, (bias_colour, variance_colour)) in enumerate(zip(arms, COLOURS, strict=False)):
        row_at = TOP + 8 + 24 * number
        for left, colour, text in ((LEFT, bias_colour, "bias"), (LEFT + 84, variance_colour, "variance")):
            sheet[row_at - 10 : row_at + 3, left : left + 24] = colour
            write(sheet, text, (left + 32, row_at))
        write(sheet, name, (LEFT + 210, row_at), GREY)
    return sheet
