"""What fused losses gain over plain ones, forward and backward: time, in rounds in which they take turns, and memory.

Run it on an idle machine, once as it is and once with ``--default-malloc``:
``python tests/benchmarks/fused_losses.py --threads 2``. It is no part of the test suite.
"""

from __future__ import annotations

import argparse
import gc
import platform
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import torch
from naive_losses import SCALES, naive, naive_channels
from peak_memory import peak_bytes

from kdseg.data.samples import IGNORE_INDEX
from kdseg.engine.machine.allocator import raise_malloc_thresholds
from kdseg.losses import LossCall, LossModule, Prediction
from kdseg_losses.fused_channel import FusedChannelWise
from kdseg_losses.logit import PixelKLLoss
from kdseg_losses.supervised import CrossEntropyLoss

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
PIXELS = ("by hand", "plain losses", "fused, torch blocks", "fused, compiled")
CHANNELS = ("channels by hand", "channels fused, torch blocks")
IGNORED = 0.1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs=4, default=[4, 19, 512, 1024], metavar=("N", "C", "H", "W"))
    parser.add_argument("--temperature", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--default-malloc", action="store_true", help="leave the C library's thresholds as they are")
    parser.add_argument("--layout", choices=LAYOUTS, help="measure this memory layout alone")
    parser.add_argument("--peak-of", help="print the bytes that this one needs above its inputs, and nothing else")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.default_malloc:
        raise_malloc_thresholds()
    if options.peak_of:
        print(peak(options.peak_of, options))
        return
    print(
        f"{'x'.join(map(str, options.size))} float32, T = {options.temperature:g}, {IGNORED:.0%} ignored; "
        f"{setting(options)}, median of {options.rounds} rounds; torch {torch.__version__}, {platform.machine()}"
    )
    for layout in [options.layout] if options.layout else LAYOUTS:
        for names in (PIXELS, CHANNELS):
            report(layout, names, options)


def setting(options: argparse.Namespace) -> str:
    """Give what every figure depends on."""
    malloc = "as they are" if options.default_malloc else "raised (train.tune_malloc)"
    return f"{options.threads} thread(s), malloc thresholds {malloc}"


def report(layout: str, names: tuple[str, ...], options: argparse.Namespace) -> None:
    """Print a table: the first is what the others are compared with, round by round."""
    contestants = {name: work(name, layout, options) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(options.rounds + 1):
        for name in names if number % 2 else reversed(names):
            gc.collect()
            began = time.perf_counter()
            contestants[name]()
            if number:  # the first warms up
                seconds[name].append(time.perf_counter() - began)
    del contestants
    peaks = {name: peak_of_a_child(name, layout, options) for name in names}
    print(f"\n{layout}; {setting(options)}")
    for name in names:
        faster = statistics.median(base / own for base, own in zip(seconds[names[0]], seconds[name], strict=True))
        print(
            f"{name:30} {1000 * statistics.median(seconds[name]):8.1f} ms (best {1000 * min(seconds[name]):.1f}), "
            f"{faster:5.2f}x as fast; peak {peaks[name] / 1e6:6.0f} MB, 1/{peaks[names[0]] / peaks[name]:.1f}"
        )


def peak_of_a_child(name: str, layout: str, options: argparse.Namespace) -> int:
    """Give what a fresh process needs above its inputs."""
    more = ["--default-malloc"] if options.default_malloc else []
    command = [sys.executable, __file__, "--peak-of", name, "--layout", layout, *more]
    command += ["--size", *map(str, options.size), "--threads", str(options.threads)]
    command += ["--temperature", str(options.temperature)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def peak(name: str, options: argparse.Namespace) -> int:
    """Give the bytes that forward and backward need above the inputs, in a process that did little before."""
    work(name, options.layout, argparse.Namespace(**vars(options) | {"size": [1, 19, 8, 8]}))()  # loads what it needs
    once = work(name, options.layout, options)
    return peak_bytes(once)


def work(name: str, layout: str, options: argparse.Namespace) -> Callable[[], None]:
    """Give forward and backward of one contestant as a call."""
    images, classes, height, width = options.size
    numbers = torch.Generator().manual_seed(0)
    target = torch.randint(0, classes, (images, height, width), generator=numbers)
    target[torch.rand(target.shape, generator=numbers) < IGNORED] = IGNORE_INDEX
    logits, other = (
        torch.randn(images, classes, height, width, generator=numbers).mul_(2).contiguous(memory_format=LAYOUTS[layout])
        for _ in range(2)
    )
    call = LossCall(progress=0.5, images=torch.zeros(0), generator=numbers)
    divergence, entropy = PixelKLLoss(options.temperature), CrossEntropyLoss(None, 0.0)
    count = (target != IGNORE_INDEX).sum()
    scales = torch.tensor(SCALES) / count
    source = Prediction(logits=other)

    def plain(learner: Tensor) -> Tensor:
        one = Prediction(logits=learner)
        return divergence(one, source, target, call) * scales[0] + entropy(one, None, target, call) * scales[1]

    def by_hand(learner: Tensor) -> Tensor:
        return naive(learner, other, target, options.temperature, count)

    def channels(learner: Tensor) -> Tensor:
        return naive_channels(learner, other, target, options.temperature) / images

    if name in ("by hand", "plain losses", "channels by hand"):
        objective = {"by hand": by_hand, "plain losses": plain, "channels by hand": channels}[name]
    else:
        if name == "channels fused, torch blocks":
            fused, factors = FusedChannelWise(LossModule(), options.temperature), torch.tensor([1 / images])
        else:
            fused, factors = (
                divergence.fuse([entropy], device=torch.device("cpu"), compiled=name == "fused, compiled"),
                scales,
            )
            if name == "fused, compiled" and fused.how != "in one compiled pass":
                sys.exit("the compiled losses are not to be had here: see the log")

        def objective(learner: Tensor) -> Tensor:
            return fused(Prediction(logits=learner), source, target, call, factors)[0]

    return lambda: objective(logits.detach().requires_grad_()).backward()


if __name__ == "__main__":
    main()
