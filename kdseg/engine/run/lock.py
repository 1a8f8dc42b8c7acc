"""One process at a time works in a run's folder."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kdseg.engine.folders.run_folder import LOCK
from kdseg.errors import KdsegError, display_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Keep a run's folder for this process.

    It is a record lock of POSIX, which ends with this process, however that ends: loading workers, which outlive a
    killed run by some seconds, do not inherit it.

    Raises:
        KdsegError: another process is at work there.
    """
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EAGAIN, errno.EACCES}:
            os.close(handle)
            raise KdsegError(
                f"{display_path(folder)}: another process is at work in this run; wait for it, or stop it"
            ) from None
        log.warning(
            "%s: cannot be locked (%s): see to it that no second process works in it",
            display_path(folder),
            error.strerror,
        )
    try:
        yield
    finally:
        os.close(handle)
