"""A plugin file for the tests of faults: tiny parts, some of which go wrong when an environment variable asks."""

from __future__ import annotations

import os
import signal
import time
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from attrs import frozen
from torch import nn

from kdseg import Backbone, Callback, ClassTable, Dataset, Hooks, Loss, PixelLoss, Sample, hookimpl


@frozen
class FaultySamples:
    """Squares on noise. `FAULT=kind:index` spoils one sample, read in a worker or here."""

    split: str
    count: int

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        numbers = np.random.default_rng([index, self.split == "train"])
        mask = numbers.integers(0, 3, (4, 4)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
        image = (np.array([(200, 40, 40), (40, 200, 40), (40, 40, 200)])[mask] // 2).astype(np.uint8)
        image += numbers.integers(0, 60, image.shape, np.uint8)
        split, _, fault = os.environ.get("FAULT", "").partition(" ")
        kind, _, place = fault.partition(":")
        if split == self.split and place == str(index):
            mask = self.fail(kind, mask)
        return Sample(image=image, mask=mask, id=f"{self.split}-{index}")

    def fail(self, kind, mask):
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "exit":
            os._exit(3)
        if kind == "raise":
            raise ValueError("the archive has no such member")
        if kind == "slow":
            time.sleep(0.2)
        if kind == "label":
            mask[3, 5] = 7
        return mask


@frozen(kw_only=True)
class Faulty(Dataset):
    """Squares of three classes, 32x32."""

    name: ClassVar[str] = "faulty"
    images: Annotated[int, "how many in each split"] = 24

    def build(self, ctx):
        return FaultySamples(ctx.split, self.images)

    def class_table(self):
        return ClassTable(names=("red", "green", "blue"), colours=((255, 0, 0), (0, 255, 0), (0, 0, 255)))


@frozen(kw_only=True)
class Small(Backbone):
    """Two convolutions."""

    name: ClassVar[str] = "small"

    def build(self, ctx):
        layers = nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Dropout2d(0.2), nn.Conv2d(16, ctx.num_classes, 1)
        return nn.Sequential(*layers)


class FailingModule(PixelLoss):
    """Cross-entropy that goes wrong at its call number `at`, and counts its calls over checkpoints."""

    def __init__(self, kind, at):
        super().__init__()
        self.kind, self.at = kind, at
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def pixel_map(self, learner, source, target, call):
        self.calls += 1
        values = F.cross_entropy(learner, target, reduction="none")
        if int(self.calls) == self.at and self.kind == "nan":
            return values * torch.nan
        if int(self.calls) == self.at and self.kind == "gradient":
            values.register_hook(lambda gradient: gradient * torch.inf)
        return values


@frozen(kw_only=True)
class Failing(Loss):
    """Cross-entropy with a fault."""

    name: ClassVar[str] = "failing"
    role: ClassVar[Literal["supervised"]] = "supervised"
    kind: Annotated[Literal["nan", "gradient"], "what goes wrong: the value, or the gradient alone"] = "nan"
    at: Annotated[int, "the call at which it does"] = 5

    def build(self, ctx):
        return FailingModule(self.kind, self.at)


class ClumsyHooks(Hooks):
    """Fails at a step, and again when it is told of that."""

    def __init__(self, at):
        self.at = at

    def on_step_end(self, run):
        if run.step == self.at:
            raise IndexError("list index out of range")

    def on_exception(self, run, error):
        raise TypeError("cannot even take that")


@frozen(kw_only=True)
class Clumsy(Callback):
    """A callback with faults."""

    name: ClassVar[str] = "clumsy"
    at: Annotated[int, "the step after which it fails; 0 for none"] = 0

    def build(self, ctx):
        return ClumsyHooks(self.at)


@hookimpl
def kdseg_backbones():
    return [Small]


@hookimpl
def kdseg_datasets():
    return [Faulty]


@hookimpl
def kdseg_losses():
    return [Failing]


@hookimpl
def kdseg_callbacks():
    return [Clumsy]
