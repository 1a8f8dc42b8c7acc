"""The training loop that somebody would write in plain torch, and the run that it is compared with."""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from attrs import evolve

from kdseg.engine.check.phases import check
from kdseg.engine.machine.processes import Processes
from kdseg.engine.run.assemble import assemble
from kdseg.engine.run.new_folder import new_folder
from kdseg.recipe.load import load_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from kdseg.data.loader import Batch
    from kdseg.engine.run.state import Run

WEIGHTS = (0.3, 0.7)
TEMPERATURE = 4.0
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


class ByHand:
    """A student on labels, alone or with a teacher that learns every second step: for these recipes, and no other."""

    def __init__(self, run: Run) -> None:
        self.networks, self.optimizers, self.schedules = {}, {}, {}
        self.device = run.processes.device
        self.precision = run.recipe.train.precision
        for name, learner in run.stepper.learners.items():
            network = copy.deepcopy(learner.participant.module)  # its first weights, channels last
            fused = self.device.type == "cuda" or None
            optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=fused)
            total = run.plan.learner_steps[name]
            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n, total=total: (1 - n / total) ** 0.9)
            self.networks[name], self.optimizers[name], self.schedules[name] = network.train(), optimizer, schedule
        self.mean = torch.tensor(run.recipe.data.mean, device=self.device).view(1, 3, 1, 1)
        self.std = torch.tensor(run.recipe.data.std, device=self.device).view(1, 3, 1, 1)

    def take(self, step: int, batch: Batch) -> Tensor:
        """Take a step and give its loss."""
        images = batch.images.to(self.device, non_blocking=True)
        images = (images.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std
        target = batch.masks.to(self.device, non_blocking=True).long()
        if "teacher" in self.networks and step % 2:
            loss = F.cross_entropy(self.logits("teacher", images), target, ignore_index=255)
            return self.learn("teacher", loss)
        logits = self.logits("student", images)
        loss = WEIGHTS[0] * F.cross_entropy(logits, target, ignore_index=255)
        if "teacher" in self.networks:
            loss = loss + WEIGHTS[1] * self.divergence(logits, images, target)
        return self.learn("student", loss)

    def logits(self, name: str, images: Tensor) -> Tensor:
        """Run a network in the run's precision, and give its logits in float32."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits = self.networks[name](images)
        return logits.float()

    def divergence(self, logits: Tensor, images: Tensor, target: Tensor) -> Tensor:
        """Give T^2 KL to the teacher, over the labelled pixels' mean."""
        teacher = self.networks["teacher"].eval()
        with torch.no_grad():
            wanted = F.log_softmax(self.logits("teacher", images) / TEMPERATURE, dim=1)
        teacher.train()
        found = F.log_softmax(logits / TEMPERATURE, dim=1)
        pixels = F.kl_div(found, wanted, log_target=True, reduction="none").sum(dim=1)
        valid = target != 255
        return TEMPERATURE**2 * (pixels * valid).sum() / valid.sum()

    def learn(self, name: str, loss: Tensor) -> Tensor:
        """Step on a loss."""
        self.optimizers[name].zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.networks[name].parameters(), 1.0)
        self.optimizers[name].step()
        self.schedules[name].step()
        return loss.detach()


def start(text: str, folder: Path) -> Run:
    """Assemble a run as `kdseg run` does, and stop short of its first step."""
    path = folder / "benchmark.toml"
    path.write_text(text + f'[output]\nfolder = "{folder}"\n', encoding="utf-8")
    loaded = load_recipe(path)
    processes = Processes.start(loaded.recipe.train)
    checked = evolve(check(loaded), loaded=loaded)
    return assemble(new_folder(loaded, loaded, processes), checked, processes, None)


def engine_step(run: Run, batch: Batch) -> None:
    """Take a step as the loop does."""
    began = time.perf_counter()
    run.batch = batch
    report = run.stepper.take(run.step, [batch], insight=False)
    run.step += 1
    run.note(report, time.perf_counter() - began)
    run.emit("on_step_end")
