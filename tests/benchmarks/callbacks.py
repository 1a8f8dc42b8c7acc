"""What watching costs: the main job, cut to one evaluation, with every callback of recipes/watched.toml and with none.

Run it on an idle machine: ``python tests/benchmarks/callbacks.py``. It is no part of the test suite. The runs come by
turns in one process. A run has as many steps to an evaluation as the main job has, for the pictures are drawn there.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch

from kdseg.engine.run.callbacks import Callbacks
from kdseg.engine.run.start import run_recipe
from kdseg.recipe.load import load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
NAMES = ("online_alternating", "watched")


def spent_by_label(monkey: type[Callbacks]) -> dict[str, float]:
    """Let the callbacks' own time be added up by their tables' names."""
    spent: dict[str, float] = {}
    guard = monkey._guard

    def timed(self, run, label, event, action):
        began = time.perf_counter()
        try:
            return guard(self, run, label, event, action)
        finally:
            spent[label] = spent.get(label, 0.0) + time.perf_counter() - began

    monkey._guard = timed
    return spent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=120, help="of a run, and to its evaluation; a multiple of 3")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--set", dest="settings", action="append", default=[])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    spent = spent_by_label(Callbacks)
    print(f"torch {torch.__version__}, {options.threads} threads, {options.steps} steps with one evaluation")
    walls: dict[str, list[float]] = {name: [] for name in NAMES}
    processors: dict[str, list[float]] = {name: [] for name in NAMES}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        settings = [
            f"train.steps_of.student={options.steps * 2 // 3}",
            f"evaluate.every={options.steps}",
            f"checkpoint.every={options.steps}",
            f"output.folder='{folder}/runs'",
            *options.settings,
        ]
        for number in range(options.rounds):
            for name in NAMES if number % 2 else NAMES[::-1]:
                loaded = load_recipe(RECIPES / f"{name}.toml", settings)
                wall, processor = time.perf_counter(), time.process_time()
                run_recipe(loaded)
                walls[name].append(time.perf_counter() - wall)
                processors[name].append(time.process_time() - processor)
                print(f"  {name:20} {walls[name][-1]:7.1f} s, of a processor {processors[name][-1]:7.1f} s", flush=True)
    for what, seconds in (("time", walls), ("processor time", processors)):
        ratios = [watched / plain for plain, watched in zip(seconds[NAMES[0]], seconds[NAMES[1]], strict=True)]
        print(f"{what}: {statistics.median(ratios) - 1:+.1%} with every callback, median of {len(ratios)}")
    each = sorted(spent.items(), key=lambda item: -item[1])
    print("in the callbacks: " + ", ".join(f"{label} {taken / options.rounds:.2f} s" for label, taken in each))


if __name__ == "__main__":
    main()
