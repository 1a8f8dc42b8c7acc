"""Signals that ask a run to stop: it ends its step, writes a checkpoint and leaves."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import torch
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdseg.engine.machine.processes import Processes

CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
log = logging.getLogger(__name__)


@define(eq=False)
class StopSignals:
    """Remembers the signals that end a process; a second Ctrl-C interrupts at once, as ever."""

    number: int | None = None
    ending: str | None = None
    """What the run ends before it stops, such as "this step"; None before it sets out, when nothing can be lost."""
    _telling: list[threading.Thread] = field(factory=list)

    @classmethod
    @contextmanager
    def caught(cls) -> Iterator[StopSignals]:
        """Catch the signals for as long as the context lasts; outside the main thread, none can be."""
        self = cls()
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.getsignal(number) for number in CAUGHT}
        for number, handler in before.items():
            if number != signal.SIGHUP or handler is not signal.SIG_IGN:  # nohup's wish
                signal.signal(number, self._remember)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for thread in self._telling:
                thread.join()

    def _remember(self, number: int, _frame: Any) -> None:
        if self.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number
        what = "at once; no step was taken" if self.ending is None else f"after {self.ending}, with a checkpoint"
        # Told by another thread: this one may be in the midst of a write to the console, which it cannot enter again.
        self._telling.append(threading.Thread(target=_tell, args=(f"{signal.Signals(number).name}: stopping {what}",)))
        self._telling[-1].start()
        if self.ending is None:
            raise SystemExit(128 + number)

    def received(self, processes: Processes, *, stopping: bool) -> tuple[int | None, bool]:
        """Give the signal that any process received, and whether any is `stopping` of itself; all of them agree."""
        if processes.world == 1:
            return self.number, stopping
        seen = torch.zeros(signal.NSIG, dtype=torch.int32, device=processes.device)
        seen[0] = int(stopping)  # no signal has this number
        if self.number is not None:
            seen[self.number] = 1
        processes.sum_([seen])
        stops, *counts = seen.tolist()
        return next((number for number, count in enumerate(counts, start=1) if count), None), stops > 0


def _tell(message: str) -> None:
    with suppress(OSError):  # a full disk: the checkpoint that follows meets it, too, and can tell
        log.warning("%s", message)
