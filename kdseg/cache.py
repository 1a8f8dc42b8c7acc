"""Where what can be made again is kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Give where kdseg keeps what it can make again: $KDSEG_CACHE, or ``kdseg`` in the user's cache folder."""
    if own := os.environ.get("KDSEG_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kdseg"
