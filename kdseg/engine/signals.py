"""Signals that ask a run to stop: it ends its step, writes a checkpoint and leaves."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from attrs import define

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdseg.engine.processes import Processes

log = logging.getLogger(__name__)


@define(eq=False)
class StopSignals:
    """Remembers SIGINT and SIGTERM; a second SIGINT interrupts at once, as ever."""

    number: int | None = None

    @classmethod
    @contextmanager
    def caught(cls) -> Iterator[StopSignals]:
        """Catch the signals for as long as the context lasts; outside the main thread, none can be."""
        self = cls()
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._remember) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _remember(self, number: int, _frame: Any) -> None:
        if self.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number
        told = ("%s: stopping after this step, with a checkpoint", signal.Signals(number).name)
        # Told by another thread: this one may be in the midst of a write to the console, which it cannot enter again.
        threading.Thread(target=log.warning, args=told).start()

    def received(self, processes: Processes) -> int | None:
        """Give the signal that any process received; all of them agree."""
        if processes.world == 1:
            return self.number
        seen = torch.zeros(signal.NSIG, dtype=torch.int32, device=processes.device)
        if self.number is not None:
            seen[self.number] = 1
        processes.sum_([seen])
        return next((number for number, count in enumerate(seen.tolist()) if count), None)
