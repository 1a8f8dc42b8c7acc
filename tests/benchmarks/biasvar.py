"""What `biasvar` leaves of bias in its estimates, and what memory it takes.

``python tests/benchmarks/biasvar.py`` prints the tables of plugins/kdseg_biasvar/README.md; with ``--memory`` the peak
memory at 4 and at 20 trials instead. It is no part of the test suite.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from kdseg import ClassTable, DiagnosticContext
from kdseg_biasvar.components import BiasVariance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdseg import Accumulator
    from kdseg_biasvar.estimates import Correction

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins" / "kdseg_biasvar"))
import synthetic

SPREADS = {"narrow": 100, "medium": 20, "wide": 5}
"""Sums of the Dirichlet distributions' parameters."""
CORRECTIONS: tuple[Correction, ...] = ("none", "scaled", "jackknife")
KINDS, CLASSES = 100, 5
TRIALS = (4, 20)
SHAPE = (2, 11, 360, 480)


def made(trials: int, images: int, classes: int, correction: Correction = "scaled") -> Accumulator:
    """Make an accumulator of one arm."""
    table = ClassTable(names=tuple(f"class-{i}" for i in range(classes)), colours=((0, 0, 0),) * classes)
    options = BiasVariance(correction=correction, resamples=200)
    return options.build(DiagnosticContext(classes=table, trials=trials, images=images))


@cache
def world_of(spread: int) -> tuple[synthetic.Dirichlet, dict[str, float]]:
    """Give the predictor of a spread, and its truth."""
    world = synthetic.spread_kinds(0, KINDS, CLASSES, spread)
    return world, world.truth(votes=50_000)


def remaining(trials: int, spread: int, pixels: int) -> dict[str, float]:
    """Give by how much estimates miss the truth in the mean: of its size for the variance, else in points."""
    world, truth = world_of(spread)
    p = world.draw(np.random.default_rng(trials), trials, 1, pixels // KINDS).reshape(trials, 1, -1, CLASSES)
    target = synthetic.as_labels(np.tile(world.labels, pixels // KINDS))
    works = {correction: made(trials, 1, CLASSES, correction) for correction in CORRECTIONS}
    works["none"].update([synthetic.as_logits(one) for one in p], target, [0])
    found = {}
    for correction, work in works.items():
        for mine, counted in zip(work.tensors(), works["none"].tensors(), strict=True):
            mine.copy_(counted)
        scalars = work.compute().scalars
        found[correction] = 100 * (scalars["nll_variance"] / truth["nll_variance"] - 1)
    for name in ("error_bias", "error_variance"):
        found[name] = 100 * (scalars[name] - truth[name])
    return found


def print_remaining(pixels: int) -> None:
    """Print both tables."""
    rows = {
        trials: {name: remaining(trials, spread, pixels) for name, spread in SPREADS.items()}
        for trials in (2, 3, 4, 5, 7, 10, 15, 20)
    }
    heads = [f"{name}: {word}" for name in SPREADS for word in ("as it is", "K/(K−1)", "jackknife")]
    print_table(heads, {k: [f"{row[s][c]:+.1f} %" for s in SPREADS for c in CORRECTIONS] for k, row in rows.items()})
    heads = [f"{name}: {word}" for name in SPREADS for word in ("bias", "variance")]
    terms = ("error_bias", "error_variance")
    print_table(heads, {k: [f"{row[s][t]:+.1f}" for s in SPREADS for t in terms] for k, row in rows.items()})


def print_table(heads: list[str], rows: dict[int, list[str]]) -> None:
    """Print it as Markdown."""
    print("| K |", " | ".join(heads), "|")
    print("| --- |", " | ".join(["---"] * len(heads)), "|")
    for trials, cells in rows.items():
        print(f"| {trials} |", " | ".join(cells), "|")
    print()


class Drawn:
    """Trials that are drawn when they are asked for."""

    def __init__(self, trials: int) -> None:
        self.trials = trials

    def __iter__(self) -> Iterator[torch.Tensor]:
        """Draw them."""
        for number in range(self.trials):
            yield torch.randn(SHAPE, generator=torch.Generator().manual_seed(number))


def peak(trials: int) -> float:
    """Give the most memory that this process had, in MB, after a few batches."""
    torch.set_num_threads(1)
    images = 4 * SHAPE[0]
    work = made(trials, images, SHAPE[1])
    for begin in range(0, images, SHAPE[0]):
        target = torch.randint(SHAPE[1], (SHAPE[0], *SHAPE[2:]), dtype=torch.uint8)
        work.update(Drawn(trials), target, range(begin, begin + SHAPE[0]))
    work.compute()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def print_peaks() -> None:
    """Measure each number of trials in a process of its own, and one that does nothing."""
    shape = "×".join(map(str, SHAPE))
    few, many = (float(subprocess.check_output([sys.executable, __file__, "--peak", str(k)])) for k in TRIALS)
    idle = float(subprocess.check_output([sys.executable, __file__, "--peak", "0"]))
    print(f"batches of {shape}: {idle:.0f} MB before, {few:.0f} with {TRIALS[0]} trials, {many:.0f} with {TRIALS[1]}")
    more, besides = many / few - 1, (many - idle) / (few - idle) - 1
    print(f"the whole process takes {more:+.1%}, what it took besides {besides:+.1%}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pixels", type=int, default=200_000)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak is not None:
        print(peak(options.peak) if options.peak else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    elif options.memory:
        print_peaks()
    else:
        print_remaining(options.pixels)


if __name__ == "__main__":
    main()
