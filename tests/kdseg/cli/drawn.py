"""A plugin file for the tests of the command line: drawn images, and parts that do not fit a run."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from attrs import frozen

from kdseg import Backbone, Callback, ClassTable, Dataset, Diagnostic, Findings, Hooks, Loss, Sample, hookimpl


@frozen
class DrawnSamples:
    """Grey squares on a grid of eight pixels, each as light as its class says."""

    options: Drawn
    first: int

    def __len__(self):
        return self.options.images

    def __getitem__(self, index):
        import numpy as np

        height, width = self.options.size
        numbers = np.random.default_rng(self.first + index)
        cells = numbers.integers(0, 3, (-(-height // 8), -(-width // 8)), dtype=np.uint8)
        classes = cells.repeat(8, 0).repeat(8, 1)[:height, :width]
        noise = numbers.integers(0, 50, (height, width, 3), dtype=np.uint8)
        masks = {"right": classes, "too high": classes + np.uint8(2), "ignored": np.full_like(classes, 255)}
        return Sample(
            image=(classes * np.uint8(100))[..., None] + noise, mask=masks.get(self.options.labels), id=str(index)
        )


@frozen(kw_only=True)
class Drawn(Dataset):
    """Grey squares of three classes."""

    name: ClassVar[str] = "drawn"
    images: Annotated[int, "how many in each split"] = 8
    size: Annotated[tuple[int, int], "height and width"] = (32, 32)
    labels: Annotated[Literal["right", "too high", "ignored", "none"], "what the masks hold"] = "right"
    classes: Annotated[int, "how many of the classes are named"] = 3

    def build(self, ctx):
        return DrawnSamples(self, 0 if ctx.split == "train" else 1000)

    def class_table(self):
        names, colours = ("dark", "middle", "light"), ((255, 0, 0), (0, 255, 0), (0, 0, 255))
        return ClassTable(names=names[: self.classes], colours=colours[: self.classes])


@frozen(kw_only=True)
class HalfSize(Backbone):
    """A network whose logits are half as high and wide as its images."""

    name: ClassVar[str] = "half_size"

    def build(self, ctx):
        from torch import nn

        return nn.Conv2d(ctx.in_channels, ctx.num_classes, 3, stride=2, padding=1)


@frozen(kw_only=True)
class Tapped(Loss):
    """A loss that reads a stage of the learner."""

    name: ClassVar[str] = "tapped"
    role: ClassVar[Literal["regulariser"]] = "regulariser"
    tap: Annotated[str, "the stage"]

    def taps(self, learner, source):
        return (self.tap,), ()

    def build(self, ctx):
        raise RuntimeError("no test comes so far")


class SendSignal(Hooks):
    def __init__(self, number, step):
        self.number, self.step = number, step

    def on_step_end(self, run):
        import signal

        if run.step == self.step:
            signal.raise_signal(self.number)


@frozen(kw_only=True)
class Signalled(Callback):
    """Sends a signal to the run after a step, as a cluster or a person does."""

    name: ClassVar[str] = "signalled"
    number: Annotated[int, "which signal"] = 15
    step: Annotated[int, "after which step; 0 for none"] = 0

    def build(self, ctx):
        return SendSignal(self.number, self.step)


class CountHits:
    def __init__(self, options, ctx):
        import torch

        self.options, self.ctx = options, ctx
        self.seen = torch.zeros(2)  # images and pixels
        self.hits = torch.zeros(ctx.trials, dtype=torch.int64)

    def update(self, trials, target, indices):
        self.seen += self.seen.new_tensor([len(target), target.numel()])
        for number, logits in enumerate(trials):
            self.hits[number] += (logits.argmax(1) == target).sum()

    def tensors(self):
        return [self.seen, self.hits]

    def compute(self):
        images, pixels = self.seen.tolist()
        shares = {f"trial {number}": {"share": hits / pixels} for number, hits in enumerate(self.hits.tolist())}
        pictures = {}
        for example in self.ctx.examples():
            painted = [logits.argmax(1)[0].numpy() for logits in example.trials]
            pictures[self.options.label + example.id] = (example.image // 2 + painted[0][..., None]).astype("uint8")
        return Findings(
            scalars={"images": images, "tiny": 2e-5, "nothing": float("nan")},
            tables={"hits": shares},
            pictures=pictures,
        )


@frozen(kw_only=True)
class Hits(Diagnostic):
    """Counts the pixels that each trial gets right."""

    name: ClassVar[str] = "hits"
    label: Annotated[str, "what pictures are called, before the image's name"] = "image-"
    weights: Annotated[tuple[float, ...], "numbers that serve nobody"] = ()

    def build(self, ctx):
        return CountHits(self, ctx)


@frozen(kw_only=True)
class Needy(Diagnostic):
    """Needs a library that nobody has."""

    name: ClassVar[str] = "needy"
    requires: ClassVar[tuple[str, ...]] = ("no-such-library>=1",)

    def build(self, ctx):
        raise RuntimeError("no test comes so far")


@hookimpl
def kdseg_diagnostics():
    return [Hits, Needy]


@hookimpl
def kdseg_backbones():
    return [HalfSize]


@hookimpl
def kdseg_datasets():
    return [Drawn]


@hookimpl
def kdseg_losses():
    return [Tapped]


@hookimpl
def kdseg_callbacks():
    return [Signalled]
