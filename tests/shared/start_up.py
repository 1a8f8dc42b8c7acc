"""What a command takes from its start to its end, for budgets."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

TRIES = 20


def stays_within(words: list[str], budget: float) -> bool:
    """Tell whether `kdseg` with these words takes less than a budget of CPU seconds.

    The budget is for an idle machine, where wall time is CPU time; caches that others fill stretch that, too, so one
    run of many that keeps it is enough. Python keeps its bytecode, as it does for users unless they say otherwise.
    """
    return any(_cpu_seconds(words) < budget for _ in range(TRIES))


def _cpu_seconds(words: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, "-m", "kdseg", *words], check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
