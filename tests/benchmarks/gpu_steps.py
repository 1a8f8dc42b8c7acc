"""Training steps of the bundled networks, by hand and by kdseg, and images through the loader."""

from __future__ import annotations

import os
import tempfile
from itertools import count, cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from by_hand import LABELS, ByHand, engine_step, start
from device_clock import median_ms, ratio
from torch.utils.flop_counter import FlopCounterMode

from kdseg.components import BackboneContext
from kdseg.data.loader import train_steps
from kdseg.engine.run.step_values import READ_EVERY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from device_clock import Budget, Clock, Report

    from kdseg.data.loader import Batch
    from kdseg.engine.run.state import Run

NETWORKS = ("unet1m", "unet70m")
PRECISIONS = ("fp32", "bf16")
RECIPE = """
seed = 7
train = {{ steps = 1000000, batch_size = {batch}, workers = 0, precision = "{precision}" }}
tracking = {{ insight_every = 0 }}
data = {{ dataset = {data} }}
"""


def report_steps(
    clock: Clock, report: Report, budget: Budget, size: tuple[int, int, int], peaks: dict[str, float]
) -> None:
    """Print what a step takes. By hand, losses are read every so many steps, too, as kdseg reads them on a GPU."""
    images, height, width = size
    report.begin(
        f"a step on {images} images of {height}x{width}: a student on labels, AdamW",
        ("network", "by hand, ms", "kdseg, ms", "of by hand", "kdseg, TFLOP/s", "of the peak", "peak MiB"),
    )
    for name in NETWORKS[:1] if clock.brief else NETWORKS:
        for precision in PRECISIONS:
            if not budget.allows(f"a step of {name}, {precision}", 10):
                continue
            data = f'{{ use = "synthroad", size = [{height}, {width}], images = {2 * images} }}'
            text = RECIPE.format(batch=images, precision=precision, data=data) + LABELS.replace("unet1m", name)
            with tempfile.TemporaryDirectory() as folder:
                run = start(text, Path(folder))
                batches = [batch for (batch,) in islice(_batches(run, 0), 2)]
                contestants = {"by hand": _by_hand(ByHand(run), batches), "kdseg": _by_kdseg(run, batches)}
                taken = clock.by_turns(contestants, rounds=10, times=4, seconds=6)
                peak = clock.peak(contestants["kdseg"])
                run.recorder.close()
            speed = flops(run, size) / (median_ms(taken["kdseg"]) / 1000) / 1e12
            report.row(
                f"{name} {precision}",
                median_ms(taken["by hand"]),
                median_ms(taken["kdseg"]),
                ratio(taken["kdseg"], taken["by hand"]),
                speed,
                f"{speed / peaks[precision]:.1%}",
                peak,
            )


def flops(run: Run, size: tuple[int, int, int]) -> int:
    """Count the operations of a network forward and backward, on tensors without numbers."""
    images, height, width = size
    with torch.device("meta"):
        context = BackboneContext(in_channels=3, num_classes=len(run.classes))
        network = run.stepper.participants["student"].backbone.build(context)
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(images, 3, height, width)).sum().backward()
    return counter.get_total_flops()


def _batches(run: Run, workers: int) -> Iterator[list[Batch]]:
    return train_steps(
        run.checked.train,
        run.checked.augmentation,
        seed=7,
        batch_size=run.recipe.train.batch_size,
        micro_batches=1,
        last_step=1_000_000,
        num_classes=len(run.classes),
        workers=workers,
        pinned=run.processes.device.type == "cuda",
    )


def _by_hand(hand: ByHand, batches: list[Batch]) -> Callable[[], None]:
    numbers, source = count(), cycle(batches)

    def once() -> None:
        number = next(numbers)
        loss = hand.take(number, next(source))
        if hand.device.type == "cpu" or number % READ_EVERY == READ_EVERY - 1:
            loss.item()

    return once


def _by_kdseg(run: Run, batches: list[Batch]) -> Callable[[], None]:
    source = cycle(batches)
    return lambda: engine_step(run, next(source))


def report_loader(clock: Clock, report: Report, budget: Budget, size: tuple[int, int, int]) -> None:
    """Print how many images a second come through the loader, by itself and into training steps."""
    images, height, width = size
    camvid = os.environ.get("KDSEG_CAMVID")
    data = f'"camvid", augment = [{{ use = "RandomCrop", height = {height}, width = {width} }}]'
    if not camvid:
        data = f'{{ use = "synthroad", size = [{height}, {width}] }}'
    workers = min(8, os.cpu_count() or 1)
    title = f"images a second of {'CamVid' if camvid else 'synthroad, which draws them'}, {workers} workers"
    report.begin(f"{title}, unet1m bf16", ("what", "images/s"))
    if not budget.allows(title, 25):
        return
    steps = 4 if clock.brief else 60
    with tempfile.TemporaryDirectory() as folder:
        run = start(RECIPE.format(batch=images, precision="bf16", data=data) + LABELS, Path(folder))

        def rate(work: Callable[[Batch], object]) -> float:
            source = _batches(run, workers)
            for (batch,) in islice(source, 4):  # workers start, kernels are chosen
                work(batch)
            seconds = clock.seconds(lambda: [work(batch) for (batch,) in islice(source, steps)])
            source.close()
            return steps * images / seconds

        report.row("the loader alone", rate(lambda _batch: None))
        report.row("training", rate(lambda batch: engine_step(run, batch)))
        run.recorder.close()
