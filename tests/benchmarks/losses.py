"""What each loss takes, forward and backward, beside cross_entropy: medians of rounds in which they take turns.

Run it on an idle machine: ``python tests/benchmarks/losses.py``. It is no part of the test suite.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from typing import TYPE_CHECKING

import torch

from kdseg.components import ClassShares, LossContext
from kdseg.data.samples import IGNORE_INDEX
from kdseg.engine.allocator import raise_malloc_thresholds
from kdseg.losses import LossCall, Prediction
from kdseg.plugins import load_plugins

if TYPE_CHECKING:
    from collections.abc import Callable

YARDSTICK = "cross_entropy"
IGNORED = 0.1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs=4, default=[2, 19, 256, 512], metavar=("N", "C", "H", "W"))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--default-malloc", action="store_true", help="leave the C library's thresholds as they are")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    raised = not options.default_malloc
    if raised:
        raise_malloc_thresholds()
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
        print(f"{name:20} {1000 * statistics.median(found):8.1f} ms   {ratio:5.2f} of {YARDSTICK}")


def losses(images: int, classes: int, height: int, width: int) -> dict[str, Callable[[], None]]:
    """Give each bundled loss that reads no taps, with its default options, as a call: forward and backward."""
    numbers = torch.Generator().manual_seed(0)
    shares = ClassShares(pixels=(1,) * classes, pixels_where_present=(1,) * classes, images=(1,) * classes)
    ctx = LossContext(num_classes=classes, class_shares=lambda: shares, learner_taps={}, source_taps={})
    call = LossCall(progress=0.5, images=torch.zeros(images, 3, height, width), generator=numbers)
    target = torch.randint(0, classes, (images, height // 16, width // 16), generator=numbers)
    target = target.repeat_interleave(16, 1).repeat_interleave(16, 2)
    target[torch.rand(target.shape, generator=numbers) < IGNORED] = IGNORE_INDEX
    logits, other = (2 * torch.randn(images, classes, height, width, generator=numbers) for _ in range(2))
    source = Prediction(logits=other)

    def work(module: torch.nn.Module, *, distils: bool) -> Callable[[], None]:
        def once() -> None:
            learner = Prediction(logits=logits.detach().requires_grad_())
            module(learner, source if distils else None, target, call).backward()

        return once

    found = {}
    for entry in load_plugins().registry.of_kind("loss"):
        component = entry.cls()
        if component.taps(("bottleneck",), ("bottleneck",)) == ((), ()):
            found[entry.name] = work(component.build(ctx), distils=component.role == "distillation")
    return found


if __name__ == "__main__":
    main()
