"""The picture of a search for students: what each network takes, and which are worth most."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2

from kdseg.charts import BOTTOM, COLOURS, GREY, HEIGHT, LEFT, PALE, TOP, WIDTH, Panel, blank, round_up, write

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from kdseg.engine.profile.fit_student import Budget, Fitted

_FAR = 3.0
"""Networks slower than so many times the slowest of the front, or the budget, are left out: they would squeeze it."""


def draw_front(found: Fitted, budget: Budget) -> npt.NDArray[np.uint8]:
    """Draw milliseconds against millions of parameters, RGB: pale those fitted, dark the front, a line the budget."""
    sheet = blank(WIDTH, HEIGHT)
    slowest = max([one.milliseconds for one in found.front] + [budget.milliseconds or 0.0])
    shown = [one for one in found.considered if one.milliseconds <= _FAR * slowest]
    most = max(one.parameters for one in shown) / 1e6
    panel = Panel(sheet, WIDTH - 30, TOP, HEIGHT - BOTTOM, round_up(most), round_up(_FAR * slowest))
    shares = (0, 0.25, 0.5, 0.75, 1)
    panel.axes({panel.x_end * share: f"{panel.x_end * share:g}" for share in shares}, [panel.y_end * s for s in shares])
    write(sheet, "parameters in millions, of all networks within the counted budgets", (LEFT, TOP - 16))
    write(sheet, "milliseconds from an image to its class map", (WIDTH // 2, HEIGHT - 14), GREY, align=0.5)
    for one in shown:
        cv2.circle(sheet, panel.at(one.milliseconds, one.parameters / 1e6), 3, PALE, cv2.FILLED, cv2.LINE_AA)
    if budget.milliseconds is not None and math.isfinite(budget.milliseconds):
        cv2.line(sheet, panel.at(budget.milliseconds, 0), panel.at(budget.milliseconds, panel.y_end), COLOURS[2], 1)
    for one in found.front:
        cv2.circle(sheet, panel.at(one.milliseconds, one.parameters / 1e6), 5, COLOURS[1], cv2.FILLED, cv2.LINE_AA)
    return sheet
