"""A plugin file: components that do nothing, for recipes that are read but not run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from attrs import field, frozen
from attrs.validators import ge

from kdseg import Backbone, Callback, Dataset, Loss, hookimpl


@frozen(kw_only=True)
class Net70(Backbone):
    """A large network."""

    name: ClassVar[str] = "unet70m"
    base: Annotated[int, "channels"] = field(default=48, validator=ge(1))
    norm: Annotated[Literal["batch", "group"], "normalisation"] = "batch"

    def build(self, ctx): ...


@frozen(kw_only=True)
class Net1(Backbone):
    """A small network."""

    name: ClassVar[str] = "unet1m"
    base: Annotated[int, "channels"] = field(default=12, validator=ge(1))
    dropout: Annotated[float, "share"] = 0.0

    def build(self, ctx): ...


@frozen(kw_only=True)
class Needy(Backbone):
    """A network that wants a library nobody has."""

    name: ClassVar[str] = "needy"
    requires: ClassVar[tuple[str, ...]] = ("kdseg-no-such-library>=9",)

    def build(self, ctx): ...


@frozen(kw_only=True)
class Scenes(Dataset):
    """Images."""

    name: ClassVar[str] = "synthroad"
    root: Annotated[Path | None, "the folder"] = None
    size: Annotated[tuple[int, int], "height and width"] = (64, 128)
    length: Annotated[int, "images"] = 100
    shares: Annotated[dict[str, float], "by class"] = field(factory=dict)

    def build(self, ctx): ...


@frozen(kw_only=True)
class Rooted(Dataset):
    """Images that lie in a folder which must be named."""

    name: ClassVar[str] = "rooted"
    root: Annotated[Path, "the folder of the images"]

    def build(self, ctx): ...


@frozen(kw_only=True)
class CrossEntropy(Loss):
    """Labels."""

    name: ClassVar[str] = "cross_entropy"
    role: ClassVar[Literal["supervised"]] = "supervised"
    class_weights: Annotated[str | None, "a scheme"] = None
    label_smoothing: Annotated[float, "share"] = 0.0

    def build(self, ctx): ...


@frozen(kw_only=True)
class PixelKL(Loss):
    """Soft labels."""

    name: ClassVar[str] = "pixel_kl"
    role: ClassVar[Literal["distillation"]] = "distillation"
    temperature: Annotated[float, "softens"] = 1.0

    def __attrs_post_init__(self):
        if self.temperature <= 0:
            raise ValueError("the temperature must be positive")

    def build(self, ctx): ...


@frozen(kw_only=True)
class Mixed(Loss):
    """A loss made of losses."""

    name: ClassVar[str] = "mixed"
    role: ClassVar[Literal["supervised"]] = "supervised"
    main: Annotated[Loss, "the loss that counts"]
    more: Annotated[tuple[Loss, ...], "others"] = ()
    by_tap: Annotated[dict[str, Loss], "by tap"] = field(factory=dict)

    def build(self, ctx): ...


@frozen(kw_only=True)
class Penalty(Loss):
    """Neither labels nor source."""

    name: ClassVar[str] = "penalty"
    role: ClassVar[Literal["regulariser"]] = "regulariser"

    def build(self, ctx): ...


@frozen(kw_only=True)
class Keep(Callback):
    """Keeps checkpoints."""

    name: ClassVar[str] = "checkpoint"
    keep: Annotated[int, "how many"] = 1

    def build(self, ctx): ...


@hookimpl
def kdseg_backbones():
    return [Net70, Net1, Needy]


@hookimpl
def kdseg_datasets():
    return [Scenes, Rooted]


@hookimpl
def kdseg_losses():
    return [CrossEntropy, PixelKL, Mixed, Penalty]


@hookimpl
def kdseg_callbacks():
    return [Keep]
