"""A plugin file for the tests of scores: drawn scenes with the classes and objects of Cityscapes, and a network."""

from __future__ import annotations

from typing import Annotated, ClassVar

from attrs import frozen

from kdseg import Backbone, Dataset, Sample, hookimpl
from kdseg_road.classes import CAMVID, CITYSCAPES
from kdseg_road.submissions import BDD100K_SUBMISSION, CITYSCAPES_SUBMISSION


@frozen
class RoadSamples:
    """Blocks of noisy colour, each an object of its own where its class has objects; some are ignored, or caravans."""

    count: int
    first: int
    extras: tuple[str, ...]

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        import numpy as np

        from kdseg_road.cityscapes_labels import LABEL_IDS

        numbers = np.random.default_rng(self.first + index)
        mask = numbers.choice([*range(19), 11, 13, 13, 18, 255], (5, 8)).astype(np.uint8)
        labels = np.array([*LABEL_IDS] + [29] * 237)[mask]
        number = numbers.integers(0, 3, mask.shape)
        instances = np.where((labels >= 24) & (numbers.random(mask.shape) < 0.8), labels * 1000 + number, labels)
        mask, instances = (values.repeat(8, 0).repeat(8, 1) for values in (mask, instances.astype(np.uint16)))
        colours = np.array([*CITYSCAPES.colours] + [(0, 0, 90)] * 237)
        image = (colours[mask] // 2 + numbers.integers(0, 128, (*mask.shape, 3))).astype(np.uint8)
        extras = {"instances": instances} if "instances" in self.extras else {}
        return Sample(image=image, mask=mask, id=str(index), extras=extras)


@frozen(kw_only=True)
class Roads(Dataset):
    """Scenes as Cityscapes takes them."""

    name: ClassVar[str] = "roads"
    submission: ClassVar = CITYSCAPES_SUBMISSION
    images: Annotated[int, "how many in each split"] = 7

    def build(self, ctx):
        return RoadSamples(self.images, 0 if ctx.split == "train" else 1000, ctx.extras)

    def class_table(self):
        return CITYSCAPES


@frozen(kw_only=True)
class Stems(Roads):
    """Scenes as BDD100K takes them."""

    name: ClassVar[str] = "stems"
    submission: ClassVar = BDD100K_SUBMISSION


@frozen(kw_only=True)
class OtherClasses(Roads):
    """Scenes of classes that no benchmark here scores."""

    name: ClassVar[str] = "other_classes"
    submission: ClassVar = None

    def class_table(self):
        return CAMVID


@frozen(kw_only=True)
class Pixelwise(Backbone):
    """Two convolutions, the second of one pixel."""

    name: ClassVar[str] = "pixelwise"

    def build(self, ctx):
        from torch import nn

        return nn.Sequential(nn.Conv2d(ctx.in_channels, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, ctx.num_classes, 1))


@hookimpl
def kdseg_datasets():
    return [Roads, Stems, OtherClasses]


@hookimpl
def kdseg_backbones():
    return [Pixelwise]
