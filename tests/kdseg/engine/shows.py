"""A plugin file for the tests of trackers: a callback that shows pictures and masks, and may kill its process."""

from __future__ import annotations

import os
import signal
import time
from typing import Annotated, ClassVar

import numpy as np
from attrs import frozen

from kdseg import Callback, Hooks, hookimpl


class Show(Hooks):
    def __init__(self, options):
        self._options = options

    def on_step_end(self, run):
        run.record("shows/step", float(run.step))
        deaths = dict(zip(self._options.die_at, self._options.after, strict=True))
        marker = run.folder / f"died-{run.step}"
        if run.step in deaths and not marker.exists():
            marker.touch()
            time.sleep(deaths[run.step])
            os.kill(os.getpid(), signal.SIGKILL)

    def on_evaluation_end(self, run):
        chosen = run.samples(2)
        run.show("heat", np.full((8, 9, 3), run.step, np.uint8), "how warm it is")
        truth = [sample.mask for sample in chosen]
        run.show_masks("gallery", [sample.image for sample in chosen], {"truth": truth, "student": truth[::-1]})


@frozen(kw_only=True)
class Shows(Callback):
    """Shows pictures and masks."""

    name: ClassVar[str] = "shows"
    die_at: Annotated[tuple[int, ...], "the steps at which the process is killed, the first time"] = ()
    after: Annotated[tuple[float, ...], "how many seconds after each"] = ()

    def build(self, ctx):
        return Show(self)


@hookimpl
def kdseg_callbacks():
    return [Shows]
