"""Does a long run's metrics file stay quick? python tests/benchmarks/metrics_file.py

Prints what a line costs to append to an empty file and to one of a million lines, and what reading that one back takes.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from kdseg import read_metrics
from kdseg.engine.run.recorder import Recorder

LINES = 1_000_000
EVALUATION_EVERY = 1000
ROUNDS = 15
APPENDED = 2000
STEP = {
    "epoch": 12,
    "turn": "study",
    "seconds": 0.168123,
    "weight/labels": 1.0,
    "weight/mimic": 0.25,
    "lr/student": 0.00456789,
    "loss/labels": 0.7654321,
    "loss/mimic": 0.1234567,
}
SCORES = {f"val/student/{name}": 0.7935 for name in ("miou", "pixel_accuracy", "mean_accuracy")}


def append(file, lines, first=0):
    """Append lines to a file as a run does, and give the microseconds that each took."""
    recorder = Recorder(file)
    recorder.write("step", first, STEP)  # opens the file
    began = time.perf_counter()
    for step in range(first + 1, first + lines):
        if step % EVALUATION_EVERY:
            recorder.write("step", step, STEP)
        else:
            recorder.write("evaluation", step, SCORES)
    seconds = time.perf_counter() - began
    recorder.close()
    return seconds / lines * 1e6


def seconds_to_read(run, kind):
    """Read a run's metrics, and give the seconds and the number of lines."""
    began = time.perf_counter()
    lines = sum(1 for _ in read_metrics(run, kind))
    return time.perf_counter() - began, lines


def main():
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        (run / "recipe.toml").touch()
        long, short = run / "metrics.jsonl", run / "short.jsonl"
        append(long, LINES)
        print(f"{LINES} lines, {long.stat().st_size / 1e6:.0f} MB")
        costs = {long: [], short: []}
        for number in range(ROUNDS):
            short.unlink(missing_ok=True)
            for file in sorted(costs, reverse=number % 2 == 0):
                costs[file].append(append(file, APPENDED, first=LINES))
        medians = {file: statistics.median(found) for file, found in costs.items()}
        ratio = statistics.median(
            after / before for after, before in zip(costs[long], costs[short], strict=True)
        )  # of pairs measured one after the other
        print(f"appending: {medians[short]:.1f} µs a line to an empty file, {medians[long]:.1f} µs to the long one")
        print(f"median paired ratio {ratio:.3f}")
        for kind in (None, "evaluation"):
            seconds, lines = seconds_to_read(run, kind)
            print(f"reading {kind or 'all'}: {lines} lines in {seconds:.2f} s")


if __name__ == "__main__":
    main()
