"""What a call needs of memory beyond what the process holds already."""

from __future__ import annotations

import ctypes
import gc
import platform
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def peak_bytes(once: Callable[[], object]) -> int:
    """Give the bytes that a call needs at its peak, in a process that did little before."""
    gc.collect()
    refs = Path("/proc/self/clear_refs")
    if not refs.exists():  # no way to forget the peak of making the inputs
        once()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)  # what making the inputs left free would be used again, and seen nowhere
    refs.write_text("5", encoding="ascii")
    before = _status("VmRSS")
    once()
    return _status("VmHWM") - before


def _status(key: str) -> int:
    """Give a number of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))
