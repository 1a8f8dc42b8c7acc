"""GPUs seen from outside: how many there are, and what is free, without opening one.

A process that opened CUDA cannot fork children that use it, and holds some hundred megabytes of the card's memory.
"""

from __future__ import annotations

import os
import subprocess

import psutil
import torch

MEBIBYTE = 2**20


def gpu_is_here() -> bool:
    """Whether torch could use a GPU. It asks the driver's management library, which opens nothing."""
    return torch.cuda.device_count() > 0


def available_memory() -> int | None:
    """Give the bytes free on the device that a run would take: a GPU's, or the machine's; None where nobody tells."""
    if not gpu_is_here():
        return int(psutil.virtual_memory().available)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call] # torch declares no types for it
        return int(torch.cuda.mem_get_info()[0])
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    query = ["nvidia-smi", f"--id={first}", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout  # noqa: S603
        return int(told) * MEBIBYTE
    except (OSError, subprocess.SubprocessError, ValueError):  # AMD's, or a part of a card
        return None
