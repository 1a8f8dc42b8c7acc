"""A plugin file for the tests of scores: a small network."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from kdseg import Backbone, hookimpl


@frozen(kw_only=True)
class Pixelwise(Backbone):
    """Two convolutions, the second of one pixel."""

    name: ClassVar[str] = "pixelwise"

    def build(self, ctx):
        from torch import nn

        return nn.Sequential(nn.Conv2d(ctx.in_channels, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, ctx.num_classes, 1))


@hookimpl
def kdseg_backbones():
    return [Pixelwise]
