"""What kdseg does on this GPU: training steps, losses, the loader, inference; as shares of what the card reaches.

``python tests/benchmarks/gpu.py --json gpu.json``, on an idle card, takes less than four minutes. It is no part of the
test suite. ``--device cpu --quick`` tries the commands where there is no GPU; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import statistics
import sys
from importlib import metadata
from pathlib import Path

import torch
from device_clock import Budget, Clock, Report
from gpu_inference import report_inference
from gpu_losses import report_every_loss, report_losses
from gpu_steps import report_loader, report_steps

from kdseg.engine.machine.arithmetic import set_arithmetic

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--seconds", type=float, default=220, help="what all of it may take")
    parser.add_argument("--quick", action="store_true", help="small sizes, a call or two of each: figures mean nothing")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--json", type=Path, help="write the tables to this file, too")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device here; --device cpu --quick tries the commands")
    if options.device == "cpu":
        torch.set_num_threads(1)  # on small sizes and a shared machine, threads wait for each other
    budget, report = Budget(options.seconds), Report()
    clock = Clock(torch.device(options.device), brief=options.quick)
    set_arithmetic(clock.device, cudnn_benchmark=True)
    about = versions(clock.device)
    for name, value in about.items():
        print(f"{name}: {value}")
    signal.signal(signal.SIGALRM, time_is_up)
    signal.setitimer(signal.ITIMER_REAL, options.seconds)
    try:
        report_all(clock, report, budget, quick=options.quick, compiled=not options.no_compile)
    except TimeIsUpError:
        budget.left_out.append("what follows the last row")
    signal.setitimer(signal.ITIMER_REAL, 0)
    for what in budget.left_out:
        print(f"left out for want of time (--seconds {options.seconds:g}): {what}")
    if options.json:
        found = {"about": about, "tables": report.tables, "left_out": budget.left_out}
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


class TimeIsUpError(Exception):
    """All took longer than it may."""


def time_is_up(_signal: int, _frame: object) -> None:
    """End whatever is being measured."""
    raise TimeIsUpError


def report_all(clock: Clock, report: Report, budget: Budget, *, quick: bool, compiled: bool) -> None:
    """Print every table that there is time for, those that say most first."""
    peaks, copied = report_peaks(clock, report, quick=quick)
    step, logits, every, frames = sizes(quick=quick)
    report_steps(clock, report, budget, step, peaks)
    report_inference(clock, report, budget, frames)
    report_losses(clock, report, budget, logits, copied, compiled=compiled)
    report_every_loss(clock, report, budget, every)
    report_loader(clock, report, budget, step)


def sizes(
    *, quick: bool
) -> tuple[tuple[int, int, int], tuple[int, int, int, int], tuple[int, int, int, int], list[tuple[int, int]]]:
    """Give the sizes of a step's images, of logits, of those of every loss, and of images to look at."""
    if quick:
        return (1, 64, 96), (1, 19, 64, 128), (1, 19, 64, 128), [(64, 128)]
    return (16, 352, 480), (4, 19, 512, 1024), (2, 19, 256, 512), [(512, 1024), (1024, 2048)]


def versions(device: torch.device) -> dict[str, str]:
    """Give what every figure depends on."""
    gpu = device.type == "cuda"
    found = {"device": torch.cuda.get_device_name(device) if gpu else platform.processor() or platform.machine()}
    if gpu:
        found["memory, GiB"] = f"{torch.cuda.get_device_properties(device).total_memory / 2**30:.0f}"
        found["CUDA"] = str(torch.version.cuda or torch.version.hip)
    for name in ("torch", "triton", "accelerate", "kdseg"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    found["fp32"] = (
        f"TF32 in products: {torch.backends.cuda.matmul.allow_tf32}, in convolutions: "
        f"{torch.backends.cudnn.allow_tf32}; cuDNN's kernels chosen by trial: {torch.backends.cudnn.benchmark}"
    )
    return found


def report_peaks(clock: Clock, report: Report, *, quick: bool) -> tuple[dict[str, float], float]:
    """Print what the device reaches; give TFLOP/s by precision, and the bytes a second of a copy, read and written."""
    side, count = (512, 1 << 22) if quick else (8192, 1 << 28)
    report.begin("what the device reaches", ("what", "value"))
    peaks = {}
    for name, dtype in PRECISIONS.items():
        one, other = (torch.randn(side, side, device=clock.device, dtype=dtype) for _ in range(2))
        taken = clock.by_turns({name: lambda one=one, other=other: one @ other}, rounds=5, times=3, seconds=4)
        peaks[name] = 2 * side**3 / statistics.median(taken[name]) / 1e12
        report.row(f"product of {side}x{side} {name}, TFLOP/s", peaks[name])
        del one, other
    source = torch.zeros(count, device=clock.device)
    target = torch.empty_like(source)
    taken = clock.by_turns({"copy": lambda: target.copy_(source)}, rounds=5, times=5, seconds=4)
    copied = 2 * source.nbytes / statistics.median(taken["copy"])
    report.row(f"copy of {source.nbytes / 2**20:.0f} MiB, GB/s read and written", copied / 1e9)
    return peaks, copied


if __name__ == "__main__":
    main()
