"""Whether the Triton kernels can be used. Loads Triton only when asked for a device that might run them."""

from __future__ import annotations

import functools
import importlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)


@functools.cache
def works(kernels: str, device: torch.device) -> bool:
    """Tell whether a module's kernels run on a device, by running its `try_out` there; once for a process and device.

    CUDA's builds of torch bring Triton along. It compiles a kernel when that is first called, and needs a C compiler
    for the part that launches it. Where anything of this fails, the log tells it and the plain losses do.

    Args:
        kernels: the module's name.
        device: where the logits are; only "cuda" is tried, which is NVIDIA's and AMD's alike.
    """
    if device.type != "cuda":
        return False
    try:
        importlib.import_module(kernels).try_out(device)
    except Exception as error:  # noqa: BLE001 (Triton, its compiler and the driver raise what they like)
        _tell(f"{type(error).__name__}: {error}".splitlines()[0])
        return False
    return True


@functools.cache
def _tell(reason: str) -> None:
    """Warn once of each reason, whichever kernels it stopped."""
    log.warning("losses are computed one by one, which takes longer: Triton's kernels don't run here: %s", reason)
