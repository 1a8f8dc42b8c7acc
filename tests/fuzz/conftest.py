"""Damage, drawn by number: what fails is told with its number, and comes again with it."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def on_one_thread(one_thread: None) -> None:
    """Run every test of this folder so."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def within() -> Callable[[int, object], object]:
    """Fail where a block takes longer than so many seconds: ``with within(20, "what hangs"): …``."""

    @contextmanager
    def within(seconds: int, what: object) -> Iterator[None]:
        def late(_signal: int, _frame: object) -> None:
            raise AssertionError(f"took more than {seconds} s: {what}")

        before = signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    return within


def damage(content: bytes, rng: Random) -> bytes:
    """Cut, flip, drop, double or swap some bytes."""
    data = bytearray(content)
    at = rng.randrange(max(1, len(data)))
    other = rng.randrange(max(1, len(data)))
    match rng.randrange(6):
        case 0:
            del data[at:]
        case 1 if data:
            data[at] ^= 1 << rng.randrange(8)
        case 2:
            del data[at : at + rng.randrange(1, 40)]
        case 3:
            data[at:at] = data[other : other + rng.randrange(1, 40)]
        case 4:
            data[at:at] = rng.randbytes(rng.randrange(1, 8))
        case _ if data:
            data[at], data[other] = data[other], data[at]
    return bytes(data)


@pytest.fixture(name="damage")
def damage_fixture() -> Callable[[bytes, Random], bytes]:
    """`damage`, which tests of a folder cannot import."""
    return damage
