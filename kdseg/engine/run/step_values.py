"""The values of steps, on their way from the device to the metrics file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attrs import define, field

from kdseg.errors import KdsegError, display_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kdseg.engine.learn.plan import Plan
    from kdseg.engine.learn.sums import StepReport
    from kdseg.engine.run.recorder import Recorder

READ_EVERY = 10
"""Steps between two reads of values off a GPU: each read makes it wait."""


@define(kw_only=True, eq=False)
class StepValues:
    """Keeps what steps reported until it is read: at once on a CPU, a few steps late on a GPU."""

    plan: Plan
    recorder: Recorder
    run: Path
    """The run's folder, for messages."""
    at_once: bool
    times: Mapping[str, float] = field(factory=dict)
    """What took how many seconds at the last step that was read: no value, which a resumed run would have to repeat."""
    _unread: list[tuple[int, dict[str, float], StepReport]] = field(factory=list)

    @property
    def due(self) -> bool:
        """Whether it is time to read."""
        return self.at_once or len(self._unread) >= READ_EVERY

    def note(self, step: int, report: StepReport, times: dict[str, float]) -> None:
        """Keep the report of optimizer step number `step`, from 1, and what took how many seconds."""
        self._unread.append((step, times, report))

    def read(self, latest: dict[str, float]) -> None:
        """Bring what is kept to the file, and the latest of each value to `latest`.

        Raises:
            KdsegError: where training diverged.
        """
        unread, self._unread = self._unread, []
        for step, times, report in unread:
            known: dict[str, Any] = {f"weight/{term.name}": term.weight for term in report.active}
            known |= {f"lr/{name}": rate for name, rate in report.learning_rates.items()}
            values = {f"loss/{name}": value.item() for name, value in report.values.items()}
            values |= {f"critic/{name}": value.item() for name, value in report.critic_values.items()}
            values |= {f"cosine/{pair}": cosine.item() for pair, cosine in report.cosines.items()}
            values |= {f"grad/{name}": norm.item() for name, norm in report.gradient_norms.items()}
            values |= report.gate
            latest.update(values)
            latest.update(known)
            self.times = times
            place = {"epoch": self.plan.epoch(step - 1), "turn": report.turn}
            self.recorder.write("step", step, place | times | known | values)
            lost = [name for name, value in values.items() if not math.isfinite(value)]
            if lost:
                raise diverged(f"step {step}: {lost[0]} is {values[lost[0]]}", self.run)


def diverged(found: str, run: Path) -> KdsegError:
    """Make the error that tells what is no longer a number, and what may mend it."""
    mend = "A lower learning rate, `clip`, or a longer warmup of the schedule may mend it"
    kept = f"the run keeps all up to its last checkpoint: {display_path(run)}"
    return KdsegError(f"{found}: training diverged. {mend}; {kept}")
