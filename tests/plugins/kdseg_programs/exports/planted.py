"""Exporters with faults, and one that writes without any library."""

from __future__ import annotations

import errno
import os
from typing import ClassVar

from attrs import evolve, frozen

from kdseg import hookimpl
from kdseg_programs import Pt2File


@frozen(kw_only=True)
class Shifted(Pt2File):
    """Writes another class than the network says."""

    name: ClassVar[str] = "shifted"
    suffix: ClassVar[str] = ".shifted"
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "int8")

    def build(self, ctx):
        import torch

        class Shift(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = ctx.module

            def forward(self, images):
                return (self.inner(images) + 1) % len(ctx.card["classes"])

        super().build(evolve(ctx, module=Shift()))


@frozen(kw_only=True)
class Forgetful(Pt2File):
    """Writes a card that is not the one that it was given."""

    name: ClassVar[str] = "forgetful"
    suffix: ClassVar[str] = ".forgetful"

    def build(self, ctx):
        super().build(evolve(ctx, card=dict(ctx.card) | {"run": "another"}))


@frozen(kw_only=True)
class Full(Pt2File):
    """Finds the disk full half-way."""

    name: ClassVar[str] = "full"
    suffix: ClassVar[str] = ".full"

    def build(self, ctx):
        ctx.file.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(ctx.file))


@frozen(kw_only=True)
class Raising(Pt2File):
    """Fails while it writes."""

    name: ClassVar[str] = "raising"
    suffix: ClassVar[str] = ".raising"

    def build(self, ctx):
        raise ValueError("a message of over 2 GB")


@frozen(kw_only=True)
class Idle(Pt2File):
    """Writes nothing."""

    name: ClassVar[str] = "idle"
    suffix: ClassVar[str] = ".idle"

    def build(self, ctx):
        pass


@frozen(kw_only=True)
class Halved(Pt2File):
    """Writes less than it names."""

    name: ClassVar[str] = "halved"
    suffix: ClassVar[str] = ".halved"
    beside: ClassVar[tuple[str, ...]] = (".rest",)


@frozen(kw_only=True)
class Wide(Pt2File):
    """Writes classes as numbers of another type."""

    name: ClassVar[str] = "wide"
    suffix: ClassVar[str] = ".wide"

    def build(self, ctx):
        import torch

        class Widened(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = ctx.module

            def forward(self, images):
                return self.inner(images).long()

        super().build(evolve(ctx, module=Widened()))


@frozen(kw_only=True)
class Unopened(Pt2File):
    """Fails while it opens."""

    name: ClassVar[str] = "unopened"
    suffix: ClassVar[str] = ".unopened"

    def open(self, file, ctx):
        raise ValueError(f"cannot open {file}")


@frozen(kw_only=True)
class Lacking(Pt2File):
    """Needs a library that nobody has."""

    name: ClassVar[str] = "lacking"
    suffix: ClassVar[str] = ".lacking"
    writes_with: ClassVar = {"fp32": ("kdseg-no-such-library>=2",)}


@frozen(kw_only=True)
class Witness(Pt2File):
    """Notes the images by which it is calibrated beside the run, and writes float32."""

    name: ClassVar[str] = "witness"
    suffix: ClassVar[str] = ".witness"
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "int8")

    def build(self, ctx):
        import torch

        if ctx.precision == "int8":
            torch.save([*ctx.calibration()], os.environ["KDSEG_WITNESS"])
        super().build(ctx)


@hookimpl
def kdseg_exporters():
    return [Shifted, Forgetful, Full, Halved, Idle, Lacking, Raising, Unopened, Wide, Witness]
