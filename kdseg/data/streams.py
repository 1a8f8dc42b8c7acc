"""Random streams by key: adding a participant, a worker or a process changes no other stream."""

from __future__ import annotations

import hashlib
import json

import numpy as np

_encode = json.JSONEncoder(separators=(",", ":")).encode


def stream(seed: int, *key: str | int) -> int:
    """Give the seed, 0..2**64-1, of the stream that `key` names: its purpose first, then whose it is.

    The same on every machine, process and Python: ``stream(7, "augment", epoch, index)``.
    """
    return int.from_bytes(hashlib.blake2b(_encode([seed, *key]).encode(), digest_size=8).digest(), "little")


def numpy_generator(seed: int, *key: str | int) -> np.random.Generator:
    """Give a generator at the start of the stream that `key` names."""
    return np.random.Generator(np.random.PCG64(stream(seed, *key)))
