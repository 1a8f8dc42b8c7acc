"""What each loss takes, forward and backward, beside pixel_kl: medians of rounds in which they take turns, and memory.

Run it on an idle machine: ``python tests/benchmarks/losses.py``. It is no part of the test suite.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import time

import torch
from every_loss import YARDSTICK, every_loss
from peak_memory import peak_bytes

from kdseg.engine.machine.allocator import raise_malloc_thresholds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs=4, default=[2, 19, 256, 512], metavar=("N", "C", "H", "W"))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--default-malloc", action="store_true", help="leave the C library's thresholds as they are")
    parser.add_argument("--peak-of", help="print the bytes that this one needs above its inputs, and nothing else")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    raised = not options.default_malloc
    if raised:
        raise_malloc_thresholds()
    if options.peak_of:
        every_loss(1, options.size[1], 64, 64)[options.peak_of]()  # loads what it needs
        print(peak_bytes(every_loss(*options.size)[options.peak_of]))
        return
    work = every_loss(*options.size)
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for number in range(options.rounds + 2):
        for name, call in work.items():
            began = time.perf_counter()
            call()
            if number > 1:  # the first warm up
                seconds[name].append(time.perf_counter() - began)
    print(
        f"{'x'.join(map(str, options.size))} float32, {options.threads} thread(s), "
        f"malloc thresholds {'raised (train.tune_malloc)' if raised else 'as they are'}, "
        f"median of {options.rounds} rounds; torch {torch.__version__}, {platform.machine()}"
    )
    base = seconds[YARDSTICK]
    for name, found in seconds.items():
        ratio = statistics.median(one / other for one, other in zip(found, base, strict=True))
        command = [sys.executable, __file__, *sys.argv[1:], "--peak-of", name]
        peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
        told = f"{ratio:6.2f} of {YARDSTICK}, peak {peak / 1e6:6.0f} MB"
        print(f"{name:20} {1000 * statistics.median(found):8.1f} ms   {told}", flush=True)


if __name__ == "__main__":
    main()
