"""What frozen participants are worth, before anybody learns from them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kdseg.errors import KdsegError
from kdseg.recipe.schema import Frozen

if TYPE_CHECKING:
    from kdseg.engine.run.state import Run

log = logging.getLogger("kdseg")


def judge_frozen(run: Run) -> None:
    """Score the frozen participants that have no scores yet on the validation split, and say so.

    Raises:
        KdsegError: one of them is below its floor.
    """
    specs = {name: one.spec for name, one in run.stepper.participants.items() if isinstance(one.spec, Frozen)}
    fresh = [name for name in specs if name not in run.scores]
    if not fresh:
        return
    run.evaluate(fresh)
    metric = run.recipe.evaluate.metric
    for name in fresh:
        value, floor = run.scores[name][metric], specs[name].floor
        if run.is_main:
            log.info("models.%s: frozen, %s %.4f on the validation split", name, metric, value)
        if floor is not None and not value >= floor:
            raise KdsegError(
                f"models.{name}: {metric} is {value:.4f} on the validation split, below its floor of {floor:g}, so the "
                f"run ends before its first step; train it longer, or lower models.{name}.floor"
            )
