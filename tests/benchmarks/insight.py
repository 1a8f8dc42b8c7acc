"""What looking at each term's gradients adds to a run: steps with and without a look, by turns.

Run it on an idle machine: ``python tests/benchmarks/insight.py``. It is no part of the test suite. The source is the
student's own moving average, which costs a forward pass alone: with a larger teacher the share is smaller.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from by_hand import start
from engine_step import HEAD, timed

from kdseg.data.loader import train_steps
from kdseg.engine.machine.allocator import raise_malloc_thresholds
from kdseg.recipe.schema import Tracking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg.data.batches import Batch
    from kdseg.engine.run.state import Run

STUDENT = """
[models.student]
backbone = "unet1m"
[models.mean]
shadow_of = "student"
"""
LABELS = '[terms.labels]\nlearner = "student"\nloss = "cross_entropy"\n'
MIMIC = '[terms.mimic]\nlearner = "student"\nsource = "mean"\nloss = "pixel_kl"\n'
FEATURES = '[terms.{name}]\nlearner = "student"\nsource = "mean"\nloss = {{ use = "fitnet", between = ["{tap}"] }}\n'
RECIPES = {
    "labels alone": LABELS,
    "labels, pixel_kl": LABELS + MIMIC,
    "labels, fitnet at the decoder's end": LABELS + FEATURES.format(name="features", tap="decoder.1"),
    "labels, fitnet at the bottleneck": LABELS + FEATURES.format(name="features", tap="bottleneck"),
    "labels, fitnet at the encoder's third stage": LABELS + FEATURES.format(name="features", tap="encoder.3"),
    "labels, pixel_kl, fitnet at the encoder's third stage": LABELS
    + MIMIC
    + FEATURES.format(name="features", tap="encoder.3"),
}


def measure(run: Run, batches: Sequence[Batch], rounds: int) -> tuple[list[float], list[float]]:
    """Give the seconds of steps without and with a look, round by round; who goes first changes each round."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for number in range(-2, rounds):  # two to warm up
        for insight in (False, True) if number % 2 else (True, False):
            taken = timed(lambda insight=insight: run.stepper.take(0, batches, insight=insight))
            if number >= 0:
                seconds[insight].append(taken)
    return seconds[False], seconds[True]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    raise_malloc_thresholds()
    every = Tracking().insight_every
    print(f"torch {torch.__version__}, {options.threads} threads, malloc thresholds raised, 8 x 64x128, {every} steps")
    for name, text in RECIPES.items():
        with tempfile.TemporaryDirectory() as folder:
            run = start(HEAD.format(batch_size=8) + STUDENT + text, Path(folder))
            loader = train_steps(run.checked.train, None, seed=7, batch_size=8, micro_batches=1, last_step=2, workers=0)
            plain, looks = measure(run, next(loader), options.rounds)
            run.recorder.close()
        more = statistics.median(look - step for look, step in zip(looks, plain, strict=True))
        share = more / (every * statistics.median(plain))
        print(f"{name:55} step {statistics.median(plain) * 1e3:6.1f} ms, a look adds {more * 1e3:6.1f} ms: {share:.2%}")


if __name__ == "__main__":
    main()
