"""Things made ahead by worker processes: whatever happens to one of them is told, and none outlives its use."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from attrs import frozen
from torch.utils.data import DataLoader, Dataset

from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

Key = TypeVar("Key")
Made = TypeVar("Made")
PREFETCHED = 2
"""Things that are made ahead by each worker."""
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def read_in_workers(
    make: Callable[[Key], Made], keys: Iterable[Key], workers: int, *, pinned: bool = False
) -> Generator[Made, None, None]:
    """Give ``make(key)`` for each key, in order, made ahead by worker processes.

    Closing the iterator, or leaving it behind, ends the workers.

    Args:
        make: called in the workers; reaches them by fork, or pickled where that is how Python starts processes.
        keys: read in this process.
        workers: how many; 0 makes everything here, when asked.
        pinned: give what has a `pin_memory` in memory that a GPU reads without waiting; it opens CUDA.

    Raises:
        KdsegError: whatever `make` raised, its text as it was; a worker that died.
    """
    closing = multiprocessing.RawValue("b", 0)  # no Event: a process killed in one's lock would leave it locked
    close = Finalize(None, setattr, (closing, "value", 1), exitpriority=0)  # at the latest when Python ends all workers
    loader: DataLoader[Made | _Failure] = DataLoader(
        _Made(make),
        batch_size=None,
        sampler=keys,
        num_workers=workers,
        prefetch_factor=PREFETCHED if workers else None,
        collate_fn=_as_it_is,
        pin_memory=pinned,
        worker_init_fn=partial(_start_worker, os.getpid(), closing),
        generator=torch.Generator(),  # else each loader would draw from the global generator
    )
    made = _start(loader)
    try:
        while True:
            try:
                item = next(made)
            except StopIteration:
                return
            except (RuntimeError, OSError, EOFError) as error:
                if death := _death(made):
                    raise death from error
                raise
            if isinstance(item, _Failure):
                raise item.error()
            yield item
    finally:
        close()
        del made  # it is the iterator that holds the workers, and a traceback would keep it


@frozen(eq=False)
class _Made(Dataset[Any], Generic[Key, Made]):
    """What `make` makes, by key, as torch's loader asks for it."""

    make: Callable[[Key], Made]

    def __getitem__(self, key: Key) -> Made | _Failure:
        try:
            return self.make(key)
        except KdsegError as error:  # torch would bury its text in that of a traceback
            return _Failure(str(error), traceback.format_exc())


@frozen
class _Failure:
    """A mistake found in a worker, on its way to the process that can tell it."""

    message: str
    traceback: str

    def error(self) -> KdsegError:
        """Give the error to raise."""
        error = KdsegError(self.message)
        error.add_note(f"Where it was raised first:\n{self.traceback}")
        return error


def _as_it_is(item: Made) -> Made:
    """Give an item unchanged: `make` makes whole batches."""
    return item


def _start(loader: DataLoader[Any]) -> Any:
    """Start the workers, without torch's handler that raises wherever the main process is when one of them dies.

    Signals wait until `_start_worker` is ready for them.
    """
    handler, mask = signal.getsignal(signal.SIGCHLD), signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        return iter(loader)
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _death(made: Any) -> KdsegError | None:
    """Tell how a worker died, where one did: torch says no more than that it is not there."""
    workers = getattr(made, "_workers", ())
    if not workers:
        return None
    ended = wait([worker.sentinel for worker in workers], timeout=1)
    for worker in workers:
        if worker.sentinel in ended:
            worker.join()  # its connections end before it does
    codes = [worker.exitcode for worker in workers if worker.exitcode is not None]
    if not codes:
        return None
    how = f"was killed by {signal.Signals(-codes[0]).name}" if codes[0] < 0 else f"ended with status {codes[0]}"
    if codes[0] == -signal.SIGKILL:
        how += "; most likely the memory ran out: lower train.workers or train.batch_size"
    return KdsegError(f"a worker that loads images {how}. The run keeps all up to its last checkpoint")


def _start_worker(main: int, closing: Any, _worker: int) -> None:
    """Keep a worker to one thread, and leave signals to the main process, which needs it until it closes it.

    A terminal, and a cluster, send theirs to all processes of a job.
    """
    import cv2

    def leave(number: int, _frame: Any) -> None:
        if closing.value or os.getppid() != main:
            os._exit(128 + number)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
