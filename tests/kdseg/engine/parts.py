"""A plugin file for the tests of the engine: data, a network and callbacks, small enough to train in no time."""

from __future__ import annotations

import json
import os
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from attrs import frozen
from torch import nn

from kdseg import (
    Backbone,
    Callback,
    ClassTable,
    Dataset,
    Gate,
    Hooks,
    Metric,
    Sample,
    TurnGate,
    hookimpl,
)


@frozen
class SquareSamples:
    """Coloured squares on noise. Sample i ignores i % 5 quarters of its pixels, so some are ignored wholly."""

    count: int
    first: int
    ignoring: bool
    extras: tuple = ()

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        numbers = np.random.default_rng(self.first + index)
        mask = numbers.integers(0, 3, (4, 4)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
        noise = numbers.integers(0, 60, (*mask.shape, 3))
        image = (np.array([(200, 40, 40), (40, 200, 40), (40, 40, 200)])[mask] // 2 + noise).astype(np.uint8)
        if self.ignoring:
            mask.reshape(-1)[: mask.size * (index % 5) // 4] = 255
        return Sample(image=image, mask=mask, id=str(index), extras=dict.fromkeys(self.extras, index))


@frozen(kw_only=True)
class Squares(Dataset):
    """Coloured squares of three classes, 32x32."""

    name: ClassVar[str] = "squares"
    images: Annotated[int, "how many in each split"] = 16
    ignoring: Annotated[bool, "ignore pixels, unevenly spread over the images"] = True

    def build(self, ctx):
        return SquareSamples(self.images, 0 if ctx.split == "train" else 1000, self.ignoring, ctx.extras)

    def class_table(self):
        return ClassTable(names=("red", "green", "blue"), colours=((255, 0, 0), (0, 255, 0), (0, 0, 255)))


class TinyNetwork(nn.Module):
    """An encoder, a decoder at half its resolution, and a head for each output."""

    def __init__(self, options, classes):
        super().__init__()
        width = options.width
        norm = nn.BatchNorm2d if options.norm == "batch" else lambda channels: nn.GroupNorm(2, channels)
        # No bias before batch normalisation: its gradient is 0 but for rounding, which AdamW would make visible.
        bias = options.norm != "batch"
        self.encoder = nn.Sequential(nn.Conv2d(3, width, 3, padding=1, bias=bias), norm(width), nn.ReLU())
        self.decoder = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=bias), norm(2 * width), nn.ReLU()
        )
        self.dropout = nn.Dropout2d(options.dropout)
        self.head = nn.Conv2d(2 * width, classes, 1)
        self.edge = nn.Conv2d(2 * width, 1, 1) if options.edge else None
        self.branch = nn.Conv2d(2 * width, classes, 1) if options.branch else None

    def forward(self, images):
        cells = self.dropout(self.decoder(self.encoder(images)))
        logits = F.interpolate(self.head(cells), images.shape[-2:])
        heads = {} if self.edge is None else {"edge": self.edge(cells)}
        if self.branch is not None:
            branch = F.interpolate(self.branch(cells), images.shape[-2:])
            heads |= {"branch": branch, "both": 0.25 * logits + 0.75 * branch}
        return {"logits": logits, **heads} if heads else logits


@frozen(kw_only=True)
class Tiny(Backbone):
    """A network of some hundred weights."""

    name: ClassVar[str] = "tiny"
    width: Annotated[int, "channels of the encoder"] = 4
    norm: Annotated[Literal["batch", "group"], "normalisation"] = "group"
    dropout: Annotated[float, "chance that a channel before the head is dropped"] = 0.0
    edge: Annotated[bool, "give a second head"] = False
    branch: Annotated[bool, "give a second head of logits, and a third that is made of both"] = False

    def build(self, ctx):
        return TinyNetwork(self, ctx.num_classes)

    def taps(self, module):
        return {"encoder.1": module.encoder, "decoder.1": module.decoder}


class MeasureEven:
    """Counts right pixels of images with an even index."""

    def __init__(self):
        self._counts = torch.zeros(2, dtype=torch.int64)

    def update(self, prediction, target, extras):
        for predicted, labels, extra in zip(prediction, target, extras, strict=True):
            if extra["index"] % 2 == 0:
                self._counts += torch.tensor([(predicted == labels).sum(), (labels != 255).sum()])

    def tensors(self):
        return [self._counts]

    def compute(self):
        right, all_ = self._counts.tolist()
        return {"accuracy": right / all_, "counts": {"right": float(right), "all": float(all_)}}


@frozen(kw_only=True)
class Even(Metric):
    """Pixel accuracy over every second image."""

    name: ClassVar[str] = "even"
    scores: ClassVar[tuple[str, ...]] = ("accuracy",)
    extras: ClassVar[tuple[str, ...]] = ("index",)

    def build(self, ctx):
        return MeasureEven()


class DiceGate(TurnGate):
    """Chooses by a counter, as a gate of somebody else might."""

    def __init__(self, options, turns):
        self.options, self.turns, self.state = options, turns, 3

    def turn(self):
        return self.options.wrong or self.turns[self.state % 7 % 2]

    def update(self, sums, values):
        assert (sums, values) == ([], {})
        self.state += self.options.seed

    def state_dict(self):
        return {"state": self.state}

    def load_state_dict(self, state):
        self.state = state["state"]


@frozen(kw_only=True)
class Dice(Gate):
    """Chooses turns by a counter."""

    name: ClassVar[str] = "dice"
    seed: Annotated[int, "added at each step"] = 1
    wrong: Annotated[str, "chosen always, where it is said"] = ""

    def build(self, ctx):
        return DiceGate(self, ctx.turns)


class Float64(Hooks):
    """Lets a run calculate in float64, so that rounding hides nothing."""

    def on_run_start(self, run):
        for module in (*run.participants.values(), *(term.module for term in run.stepper.terms.values())):
            module.double()
        single = run.stepper.normalise
        run.stepper.normalise = lambda images: single(images).double()


@frozen(kw_only=True)
class InFloat64(Callback):
    """Makes the run's arithmetic float64."""

    name: ClassVar[str] = "float64"

    def build(self, ctx):
        return Float64()


class WriteWitness(Hooks):
    """Writes what each process ends with: networks, losses, and the logits of fixed images."""

    def on_run_end(self, run):
        images = torch.arange(2 * 40 * 48 * 3).remainder(251).to(torch.uint8).view(2, 40, 48, 3)
        witness = {
            "participants": {name: module.state_dict() for name, module in run.participants.items()},
            "losses": {name: term.module.state_dict() for name, term in run.stepper.terms.items()},
            "logits": {name: run.predict(name, images) for name in run.participants},
            "images": images,
        }
        torch.save(witness, run.folder / f"witness-{os.environ.get('RANK', '0')}.pt")


@frozen(kw_only=True)
class Witness(Callback):
    """Writes what each process ends with."""

    name: ClassVar[str] = "witness"

    def build(self, ctx):
        return WriteWitness()


class WriteDiary(Hooks):
    """Counts and writes what it sees, as a callback with state does."""

    def __init__(self):
        self._seen = []

    def on_epoch_start(self, run):
        self._seen.append(f"epoch {run.epoch}")

    def on_step_end(self, run):
        self._seen = [*self._seen[-20:], json.dumps(dict(run.values))]
        run.record("diary/length", float(len("".join(self._seen))))

    def on_evaluation_end(self, run):
        self._seen.append("evaluation")

    def state_dict(self):
        return {"seen": self._seen}

    def load_state_dict(self, state):
        self._seen = state["seen"]


@frozen(kw_only=True)
class Diary(Callback):
    """Keeps a diary of all values."""

    name: ClassVar[str] = "diary"

    def build(self, ctx):
        return WriteDiary()


class Falter(Hooks):
    """Fails at an event, the n-th time."""

    def __init__(self, event, nth):
        self._event, self._nth, self._times = event, nth, 0

    def _told(self, event):
        self._times += event == self._event
        if event == self._event and self._times >= self._nth:
            raise ValueError(f"{event} is too much")

    def on_run_start(self, run):
        self._told("on_run_start")

    def on_step_end(self, run):
        self._told("on_step_end")
        run.record(f"falters/{self._event}", float(self._times))

    def on_gradients(self, run, learner):
        self._told("on_gradients")

    def on_evaluation_end(self, run):
        self._told("on_evaluation_end")

    def on_checkpoint(self, run):
        self._told("on_checkpoint")

    def on_run_end(self, run):
        self._told("on_run_end")

    def state_dict(self):
        self._told("state_dict")
        return {"times": self._times}

    def load_state_dict(self, state):
        self._times = state["times"]


@frozen(kw_only=True)
class Falters(Callback):
    """Fails."""

    name: ClassVar[str] = "falters"
    event: Annotated[str, "at what"] = "on_step_end"
    nth: Annotated[int, "at which time"] = 2

    def build(self, ctx):
        return Falter(self.event, self.nth)


class Quit(Hooks):
    """Ends the run from one of its processes."""

    def on_step_end(self, run):
        if run.step == 3 and os.environ.get("RANK") == "1":
            run.stop("enough")


@frozen(kw_only=True)
class Quits(Callback):
    """Ends the run from its second process alone."""

    name: ClassVar[str] = "quits"

    def build(self, ctx):
        return Quit()


@hookimpl
def kdseg_backbones():
    return [Tiny]


@hookimpl
def kdseg_datasets():
    return [Squares]


@hookimpl
def kdseg_gates():
    return [Dice]


@hookimpl
def kdseg_metrics():
    return [Even]


@hookimpl
def kdseg_callbacks():
    return [InFloat64, Witness, Diary, Falters, Quits]
