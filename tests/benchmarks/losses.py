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
from typing import TYPE_CHECKING

import torch
from peak_memory import peak_bytes

from kdseg.components import ClassShares, LossContext
from kdseg.data.samples import IGNORE_INDEX
from kdseg.engine.machine.allocator import raise_malloc_thresholds
from kdseg.losses import LossCall, Prediction
from kdseg.plugins import load_plugins

if TYPE_CHECKING:
    from collections.abc import Callable

YARDSTICK = "pixel_kl"
CHANNELS = 192, 1536
"""Of the bottlenecks of unet1m and unet70m, which losses between taps compare."""
STRIDES = 16, 32
IGNORED = 0.1


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
        losses(1, options.size[1], 64, 64)[options.peak_of]()  # loads what it needs
        print(peak_bytes(losses(*options.size)[options.peak_of]))
        return
    work = losses(*options.size)
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


def losses(images: int, classes: int, height: int, width: int) -> dict[str, Callable[[], None]]:
    """Give each bundled loss, with its default options, as a call: forward and backward."""
    numbers = torch.Generator().manual_seed(0)
    shares = ClassShares(pixels=(1,) * classes, pixels_where_present=(1,) * classes, images=(1,) * classes)
    shapes = [(c, height // stride, width // stride) for c, stride in zip(CHANNELS, STRIDES, strict=True)]
    ctx = LossContext(
        num_classes=classes,
        class_shares=lambda: shares,
        learner_taps={"bottleneck": shapes[0]},
        source_taps={"bottleneck": shapes[1]},
    )
    call = LossCall(progress=0.5, images=torch.zeros(images, 3, height, width), generator=numbers)
    target = torch.randint(0, classes, (images, height // 16, width // 16), generator=numbers)
    target = target.repeat_interleave(16, 1).repeat_interleave(16, 2)
    target[torch.rand(target.shape, generator=numbers) < IGNORED] = IGNORE_INDEX
    logits, other = (2 * torch.randn(images, classes, height, width, generator=numbers) for _ in range(2))
    mine, its = (torch.randn(images, *shape, generator=numbers) for shape in shapes)
    source = Prediction(logits=other, taps={"bottleneck": its})

    def work(module: torch.nn.Module, *, distils: bool) -> Callable[[], None]:
        def once() -> None:
            taps = {"bottleneck": mine.detach().requires_grad_()}
            learner = Prediction(logits=logits.detach().requires_grad_(), taps=taps)
            module(learner, source if distils else None, target, call).backward()

        return once

    found = {}
    for entry in load_plugins().registry.of_kind("loss"):
        component = entry.cls()
        found[entry.name] = work(component.build(ctx), distils=component.role == "distillation")
    return found


if __name__ == "__main__":
    main()
