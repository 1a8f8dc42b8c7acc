"""Runs in processes of their own: as many at once as there is room for, stopped together, none twice."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from attrs import define, field, frozen

from kdseg.engine.machine.signals import CAUGHT
from kdseg.engine.study.planned import in_order
from kdseg.errors import KdsegError, display_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from kdseg.engine.study.planned import PlannedRun

POLL_SECONDS = 0.1
TOLD_LINES = 3
"""Of a failed run's last lines."""
LONGEST_JOB_TYPE = 64
"""Characters that Weights & Biases takes."""


class Watch:
    """What is told while runs are made; each method does nothing here."""

    def planned(self, runs: Sequence[PlannedRun], done: int) -> None:
        """Say what is to be done."""

    def started(self, run: PlannedRun) -> None:
        """A process began."""

    def waits(self, run: PlannedRun) -> None:
        """Another process, of a sweep that was killed, is at this run."""

    def ended(self, run: PlannedRun, seconds: float, failure: str | None) -> None:
        """A run is finished, or failed with these last lines."""

    def stopping(self, number: int) -> None:
        """A signal came: the processes write their checkpoints."""


@frozen(kw_only=True)
class Child:
    """A process that trains."""

    run: PlannedRun
    process: subprocess.Popen[bytes]
    log: Path
    slot: int
    began: float


def jobs_here() -> int:
    """Give how many runs the machine takes at once by default: one a GPU, else one."""
    return max(torch.cuda.device_count(), 1)


@contextmanager
def study_lock(folder: Path) -> Iterator[None]:
    """Keep the folder of a study for this process.

    Raises:
        KdsegError: another one has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = _locked(folder / "locks" / "study")
    if handle is None:
        raise KdsegError(f"{display_path(folder)}: another process makes runs in it; wait for it, or stop it")
    try:
        yield
    finally:
        os.close(handle)


def _locked(path: Path) -> int | None:
    """Open and lock a file; None where another process holds it. A lock ends with the last process that has it open."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


@define(eq=False)
class Children:
    """Makes runs."""

    folder: Path
    """The sweep's."""
    jobs: int
    watch: Watch
    failures: dict[str, str] = field(factory=dict)
    """By a run's name, why it is not there."""
    _done: set[str] = field(factory=set)
    _children: list[Child] = field(factory=list)
    _signals: list[int] = field(factory=list)
    _asked: set[tuple[int, int]] = field(factory=set)
    """Processes that were sent a signal, and which."""
    _waited_for: set[str] = field(factory=set)

    def make(self, runs: Sequence[PlannedRun]) -> None:
        """Make runs and what they need, those left out that are finished.

        Raises:
            SystemExit: after a signal, with a checkpoint of each run written.
        """
        ordered = in_order(runs)
        self._done |= {run.name for run in ordered if run.finished() is not None}
        missing = [run for run in ordered if run.name not in self._done]
        waiting = [run for run in missing if run.label or any(run in other.needs for other in missing)]
        self.watch.planned(waiting, done=sum(run.name in self._done for run in runs))
        with self._signals_caught():
            while waiting or self._children:
                if not self._signals:
                    self._launch(waiting)
                self._stop_where_asked()
                self._reap()
                if self._signals and not self._children:
                    raise SystemExit(128 + self._signals[0])
                time.sleep(POLL_SECONDS)

    def _launch(self, waiting: list[PlannedRun]) -> None:
        """Start what can be started, and give up what cannot be any more."""
        for run in list(waiting):
            failed = next((teacher.name for teacher in run.needs if teacher.name in self.failures), None)
            if failed is not None:
                waiting.remove(run)
                self._end(run, 0.0, f"its teacher {failed} failed")
            elif len(self._children) < self.jobs and all(teacher.name in self._done for teacher in run.needs):
                lock = _locked(self.folder / "locks" / run.name)
                if lock is not None:
                    waiting.remove(run)
                    self._start(run, lock)
                elif run.name not in self._waited_for:
                    self._waited_for.add(run.name)
                    self.watch.waits(run)

    def _start(self, run: PlannedRun, lock: int) -> None:
        """Start a run's process, which keeps the lock until it ends, should this one be killed."""
        try:
            if run.finished() is not None:  # by the process that was waited for
                self._end(run, 0.0, None)
                return
            run.write()
            log = self.folder / "logs" / f"{run.name}.txt"
            log.parent.mkdir(exist_ok=True)
            slot = min(set(range(self.jobs)) - {child.slot for child in self._children})
            with log.open("wb") as errors:
                process = subprocess.Popen(  # noqa: S603 (this very program)
                    [sys.executable, "-m", "kdseg", *run.words()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    env={**self._place(run), **os.environ, **self._share(slot)},
                    pass_fds=(lock,),
                    start_new_session=True,  # Ctrl-C comes to this process alone, which passes it on once
                )
        finally:
            os.close(lock)
        self._children.append(Child(run=run, process=process, log=log, slot=slot, began=time.monotonic()))
        self.watch.started(run)

    def _place(self, run: PlannedRun) -> Mapping[str, str]:
        """Give the environment that tells Weights & Biases where a run belongs, should its recipe use that."""
        return {"WANDB_RUN_GROUP": self.folder.name, "WANDB_JOB_TYPE": (run.label or "teacher")[:LONGEST_JOB_TYPE]}

    def _share(self, slot: int) -> Mapping[str, str]:
        """Give the environment that keeps processes out of each other's way: a GPU, or some of the cores."""
        share = {}
        if "OMP_NUM_THREADS" not in os.environ:
            share["OMP_NUM_THREADS"] = str(max(len(os.sched_getaffinity(0)) // self.jobs, 1))
        if count := torch.cuda.device_count():
            visible = os.environ.get("CUDA_VISIBLE_DEVICES")
            devices = visible.split(",") if visible else [str(number) for number in range(count)]
            share["CUDA_VISIBLE_DEVICES"] = devices[slot % len(devices)]
        return share

    def _reap(self) -> None:
        for child in list(self._children):
            status = child.process.poll()
            if status is None:
                continue
            self._children.remove(child)
            if child.run.finished() is not None:
                self._end(child.run, time.monotonic() - child.began, None)
            elif not self._signals:
                self._end(child.run, time.monotonic() - child.began, _last_words(child.log, status))

    def _end(self, run: PlannedRun, seconds: float, failure: str | None) -> None:
        if failure is None:
            self._done.add(run.name)
        else:
            self.failures[run.name] = failure
        self.watch.ended(run, seconds, failure)

    @contextmanager
    def _signals_caught(self) -> Iterator[None]:
        before = {number: signal.getsignal(number) for number in CAUGHT}
        for number, handler in before.items():
            if number != signal.SIGHUP or handler is not signal.SIG_IGN:  # nohup's wish
                signal.signal(number, lambda number, _frame: self._signals.append(number))
        try:
            yield
        finally:
            for child in self._children:  # an error in this process: nobody would wait for them
                child.process.send_signal(signal.SIGTERM)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop_where_asked(self) -> None:
        """Pass a signal on; after a second Ctrl-C the processes end at once, without a checkpoint."""
        if not self._signals:
            return
        if not self._asked:
            self.watch.stopping(self._signals[0])
        number = signal.SIGKILL if signal.SIGINT in self._signals[1:] else signal.SIGTERM
        for child in self._children:
            if (child.process.pid, number) not in self._asked:
                child.process.send_signal(number)
        self._asked |= {(child.process.pid, number) for child in self._children} | {(0, number)}


def _last_words(log: Path, status: int) -> str:
    """Give the end of what a process told, or how it ended where it told nothing."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    return "\n".join([*lines[-TOLD_LINES:], how])
