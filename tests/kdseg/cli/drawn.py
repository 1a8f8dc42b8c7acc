"""A plugin file for the tests of the command line: drawn images, and parts that do not fit a run."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from attrs import frozen

from kdseg import Backbone, ClassTable, Dataset, Loss, Sample, hookimpl


@frozen
class DrawnSamples:
    """Grey squares on a grid of eight pixels, each as light as its class says."""

    count: int
    size: tuple[int, int]
    first_label: int

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        import numpy as np

        height, width = self.size
        cells = np.random.default_rng(index).integers(0, 3, (-(-height // 8), -(-width // 8)), dtype=np.uint8)
        mask = cells.repeat(8, 0).repeat(8, 1)[:height, :width]
        return Sample(image=np.stack([mask * 100] * 3, axis=-1), mask=mask + np.uint8(self.first_label), id=str(index))


@frozen(kw_only=True)
class Drawn(Dataset):
    """Grey squares of three classes."""

    name: ClassVar[str] = "drawn"
    images: Annotated[int, "how many in each split"] = 8
    size: Annotated[tuple[int, int], "height and width"] = (32, 32)
    first_label: Annotated[int, "the label of the first class; only 0 is right"] = 0
    classes: Annotated[int, "how many classes are named; only 3 is right"] = 3

    def build(self, ctx):
        return DrawnSamples(self.images, self.size, self.first_label)

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


@hookimpl
def kdseg_backbones():
    return [HalfSize]


@hookimpl
def kdseg_datasets():
    return [Drawn]


@hookimpl
def kdseg_losses():
    return [Tapped]
