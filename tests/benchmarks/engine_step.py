"""What the engine's step costs beyond a loop written by hand: same networks, losses, data and optimizer, by turns.

Run it on an idle machine: ``python tests/benchmarks/engine_step.py``. It is no part of the test suite.
"""

from __future__ import annotations

import argparse
import copy
import gc
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from attrs import evolve

from kdseg.data.loader import train_steps
from kdseg.engine.check.phases import check
from kdseg.engine.machine.allocator import raise_malloc_thresholds
from kdseg.engine.machine.processes import Processes
from kdseg.engine.run.assemble import assemble
from kdseg.engine.run.new_folder import new_folder
from kdseg.recipe.load import load_recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kdseg.data.batches import Batch
    from kdseg.engine.run.state import Run

LIMIT = 1.02
WEIGHTS = (0.3, 0.7)
TEMPERATURE = 4.0
HEAD = """
seed = 7
train = {{ steps = 100000, batch_size = {batch_size}, workers = 0 }}
data = {{ dataset = {{ use = "synthroad", size = [64, 128] }} }}
"""
LABELS = f"""
[models.student]
backbone = "unet1m"
optimizer = {{ use = "AdamW", lr = 1e-3 }}
clip = 1.0
[terms.labels]
learner = "student"
loss = "cross_entropy"
weight = {WEIGHTS[0]}
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


class ByHand:
    """The loop that somebody would write for these two recipes, and no other, in plain torch."""

    def __init__(self, run: Run) -> None:
        self.networks, self.optimizers, self.schedules = {}, {}, {}
        for name, learner in run.stepper.learners.items():
            network = copy.deepcopy(learner.participant.module)  # its first weights, channels last
            optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
            total = run.plan.learner_steps[name]
            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n, total=total: (1 - n / total) ** 0.9)
            self.networks[name], self.optimizers[name], self.schedules[name] = network.train(), optimizer, schedule
        self.mean = torch.tensor(run.recipe.data.mean).view(1, 3, 1, 1)
        self.std = torch.tensor(run.recipe.data.std).view(1, 3, 1, 1)

    def take(self, step: int, batch: Batch) -> float:
        """Take a step and read its loss."""
        images = (batch.images.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std
        target = batch.masks.long()
        if "teacher" in self.networks and step % 2:
            loss = F.cross_entropy(self.networks["teacher"](images), target, ignore_index=255)
            return self.learn("teacher", loss)
        logits = self.networks["student"](images)
        loss = WEIGHTS[0] * F.cross_entropy(logits, target, ignore_index=255)
        if "teacher" in self.networks:
            loss = loss + WEIGHTS[1] * self.divergence(logits, images, target)
        return self.learn("student", loss)

    def divergence(self, logits: torch.Tensor, images: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Give T^2 KL to the teacher, over the labelled pixels' mean."""
        teacher = self.networks["teacher"].eval()
        with torch.no_grad():
            wanted = F.log_softmax(teacher(images) / TEMPERATURE, dim=1)
        teacher.train()
        found = F.log_softmax(logits / TEMPERATURE, dim=1)
        pixels = F.kl_div(found, wanted, log_target=True, reduction="none").sum(dim=1)
        valid = target != 255
        return TEMPERATURE**2 * (pixels * valid).sum() / valid.sum()

    def learn(self, name: str, loss: torch.Tensor) -> float:
        """Step on a loss, and read it."""
        self.optimizers[name].zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.networks[name].parameters(), 1.0)
        self.optimizers[name].step()
        self.schedules[name].step()
        return loss.item()


def start(text: str, batch_size: int, folder: Path) -> Run:
    """Assemble a run as `kdseg run` does, and stop short of its first step."""
    path = folder / "benchmark.toml"
    path.write_text(HEAD.format(batch_size=batch_size) + text + f'[output]\nfolder = "{folder}"\n', encoding="utf-8")
    loaded = load_recipe(path)
    processes = Processes.start(loaded.recipe.train)
    checked = check(loaded)
    return assemble(new_folder(loaded, loaded, processes), evolve(checked, loaded=loaded), processes, None)


def engine_step(run: Run, batch: Batch) -> None:
    """Take a step as the loop does."""
    began = time.perf_counter()
    run.batch = batch
    report = run.stepper.take(run.step, [batch], insight=False)
    run.step += 1
    run.note(report, time.perf_counter() - began)
    run.emit("on_step_end")


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
            (hand_seconds, lambda chosen=chosen: [hand.take(step, batch) for step, batch in enumerate(chosen)]),
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
            run = start(text, options.batch_size, Path(folder))
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
