"""What the engine's step costs beyond a loop written by hand: same networks, losses, data and optimizer, by turns.

Run it on an idle machine: ``python tests/benchmarks/engine_step.py``. It is no part of the test suite.
"""

from __future__ import annotations

import argparse
import gc
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from by_hand import LABELS, TEMPERATURE, WEIGHTS, ByHand, engine_step, start

from kdseg.data.loader import train_steps
from kdseg.engine.machine.allocator import raise_malloc_thresholds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kdseg.data.batches import Batch
    from kdseg.engine.run.state import Run

LIMIT = 1.02
HEAD = """
seed = 7
train = {{ steps = 100000, batch_size = {batch_size}, workers = 0 }}
data = {{ dataset = {{ use = "synthroad", size = [64, 128] }} }}
"""
SOURCE = f"""
[models.teacher]
backbone = "unet1m"
optimizer = {{ use = "AdamW", lr = 1e-3 }}
clip = 1.0
[turns]
order = ["study", "teach"]
[terms.teacher-labels]
turn = "teach"
learner = "teacher"
loss = "cross_entropy"
[terms.mimic]
turn = "study"
learner = "student"
source = "teacher"
loss = {{ use = "pixel_kl", temperature = {TEMPERATURE} }}
weight = {WEIGHTS[1]}
"""
RECIPES = {
    "a student on labels": LABELS,
    "a student on labels and a teacher that learns": LABELS.replace("[terms.labels]", '[terms.labels]\nturn = "study"')
    + SOURCE,
}


def timed(action: Callable[[], object]) -> float:
    """Give the seconds that something takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def measure(run: Run, batches: Sequence[Batch], rounds: int, steps: int) -> tuple[list[float], list[float]]:
    """Give the seconds a step of engine and hand, round by round; who goes first changes each round."""
    hand = ByHand(run)
    engine_seconds, hand_seconds = [], []
    for number in range(-2, rounds):  # two to warm up
        chosen = [batches[(number * steps + index) % len(batches)] for index in range(steps)]
        contestants = [
            (engine_seconds, lambda chosen=chosen: [engine_step(run, batch) for batch in chosen]),
            (hand_seconds, lambda chosen=chosen: [hand.take(step, batch).item() for step, batch in enumerate(chosen)]),
        ]
        gc.collect()
        for seconds, action in contestants if number % 2 else reversed(contestants):
            taken = timed(action) / steps
            if number >= 0:
                seconds.append(taken)
    return engine_seconds, hand_seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--steps", type=int, default=2, help="a round; an even number, for turns come in pairs")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    raise_malloc_thresholds()
    print(f"torch {torch.__version__}, {options.threads} threads, {platform.machine()}, {options.batch_size} x 64x128")
    for name, text in RECIPES.items():
        with tempfile.TemporaryDirectory() as folder:
            run = start(HEAD.format(batch_size=options.batch_size) + text, Path(folder))
            loader = train_steps(
                run.checked.train, None, seed=7, batch_size=options.batch_size, micro_batches=1, last_step=12, workers=0
            )
            engine, hand = measure(run, [batch for (batch,) in loader], options.rounds, options.steps)
            run.recorder.close()
        ratios = [mine / other for mine, other in zip(engine, hand, strict=True)]
        ratio = statistics.median(ratios)
        print(
            f"{name}: engine {statistics.median(engine) * 1e3:.1f} ms, by hand {statistics.median(hand) * 1e3:.1f} ms"
        )
        print(
            f"  median of {len(ratios)} paired ratios {ratio:.4f}, middle half {_quartiles(ratios)}; "
            f"at most {LIMIT}: {'yes' if ratio <= LIMIT else 'NO'}"
        )


def _quartiles(values: Sequence[float]) -> str:
    low, _, high = statistics.quantiles(values)
    return f"{low:.3f} to {high:.3f}"


if __name__ == "__main__":
    main()
