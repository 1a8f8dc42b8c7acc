"""What losses between taps share: pairs of one size, projectors, cells that count."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch.nn.functional as F
from attrs import frozen
from torch import Tensor, nn

from kdseg.errors import KdsegError
from kdseg.losses import LossModule, full_precision, valid_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg.components import LossContext
    from kdseg.losses import LossCall, Prediction

Size = tuple[int, int]


@frozen
class Pair:
    """Two taps that are compared, at the learner's size."""

    learner: str
    source: str
    size: Size
    """Height and width of the learner's tap."""
    source_size: Size

    def valid(self, target: Tensor) -> Tensor:
        """Give which of the learner's cells count, N×h×w: valid ones that lie over a valid one of the source."""
        valid = valid_cells(target, self.size)
        if self.size == self.source_size:
            return valid
        weight = resized(valid_cells(target, self.source_size).float().unsqueeze(1), self.size)
        return valid & (weight.squeeze(1) > 0)

    def aligned(self, learner: Prediction, source: Prediction, target: Tensor) -> tuple[Tensor, Tensor]:
        """Give both maps at the learner's size and in full precision, 0 at cells not valid; the source's is detached.

        A source's map of another size is brought to the learner's, its valid cells alone.
        """
        hidden = ~self.valid(target).unsqueeze(1)
        mine = _blanked(learner.taps[self.learner], self.learner, self.size, target)
        theirs = _blanked(source.taps[self.source], self.source, self.source_size, target).detach()
        if self.size != self.source_size:
            weight = valid_cells(target, self.source_size).to(theirs.dtype).unsqueeze(1)
            share = resized(weight, self.size)
            theirs = resized(theirs, self.size) / share.masked_fill(share == 0, 1)
        return mine.masked_fill(hidden, 0), theirs.masked_fill(hidden, 0)


class FeatureLoss(LossModule):
    """A mean over pairs of taps of what `pair_loss` gives, and within a pair over cells, or over images.

    Each cell counts as much as the pixels that it stands for, so all pairs count alike. A source's map of another size
    is brought to the learner's, its valid cells alone. The learner's channels pass a 1x1 convolution to the number of
    the source's where those differ, and nothing where they are alike.
    """

    per: ClassVar[Literal["pixel", "image"]] = "pixel"
    projects: ClassVar[bool] = True
    """Whether `pair_loss` wants as many channels of the learner as of the source."""

    def __init__(self, pairs: Sequence[tuple[str, str]], ctx: LossContext) -> None:
        super().__init__()
        shapes = [(ctx.learner_taps[one], ctx.source_taps[other]) for one, other in pairs]
        self.pairs = tuple(
            Pair(one, other, mine[1:], theirs[1:]) for (one, other), (mine, theirs) in zip(pairs, shapes, strict=True)
        )
        self.projectors = nn.ModuleList(
            projector(mine[0], theirs[0]) if self.projects else nn.Identity() for mine, theirs in shapes
        )

    def count(self, target: Tensor) -> Tensor:
        """Give the pixels that all pairs' valid cells stand for, or the number of their images with a valid cell."""
        counts = []
        for pair in self.pairs:
            valid = pair.valid(target)
            if self.per == "image":
                counts.append(valid.flatten(1).any(1).sum().double())
            else:
                counts.append(valid.sum().double() * _area(target, pair.size))
        total = counts[0]
        for count in counts[1:]:
            total = total + count
        return total

    def forward(self, learner: Prediction, source: Prediction | None, target: Tensor, call: LossCall) -> Tensor:
        """Sum the pairs' losses."""
        assert source is not None  # a distillation loss has one
        losses = []
        for pair, project in zip(self.pairs, self.projectors, strict=True):
            valid = pair.valid(target)
            mine, theirs = pair.aligned(learner, source, target)
            loss = self.pair_loss(project(mine).masked_fill(~valid.unsqueeze(1), 0), theirs, valid, call)
            losses.append(loss if self.per == "image" else loss * _area(target, pair.size))
        total = losses[0]
        for loss in losses[1:]:
            total = total + loss
        return total

    def pair_loss(self, learner: Tensor, source: Tensor, valid: Tensor, call: LossCall) -> Tensor:
        """Give the sum over valid cells, or over images with one, of the loss of a pair.

        Args:
            learner: N×C×h×w in float32 or float64, projected, 0 at cells that are not valid.
            source: N×C×h×w likewise, detached, at the learner's size.
            valid: N×h×w, which cells count.
            call: what else may be read.
        """
        raise NotImplementedError


def projector(channels: int, wanted: int) -> nn.Module:
    """Give a 1x1 convolution to the channels that are wanted; nothing where they are there."""
    return nn.Identity() if channels == wanted else nn.Conv2d(channels, wanted, 1)


def resized(values: Tensor, size: Size) -> Tensor:
    """Bring maps to a size: means over what becomes one cell, interpolation between cells where more are wanted."""
    if all(wanted <= found for wanted, found in zip(size, values.shape[-2:], strict=True)):
        return F.adaptive_avg_pool2d(values, size)
    return F.interpolate(values, size, mode="bilinear", align_corners=False)


def _blanked(tap: Tensor, name: str, size: Size, target: Tensor) -> Tensor:
    """Give a tap in full precision, 0 at cells that are not valid."""
    if tuple(tap.shape[-2:]) != size:
        found, checked = ("x".join(map(str, one)) for one in (tap.shape[-2:], size))
        raise KdsegError(
            f"the tap {name!r} is {found}, and {checked} in the image that the run was checked with: a loss on "
            "features needs training images of one size; end data.augment with a crop or a resize"
        )
    return full_precision(tap).masked_fill(~valid_cells(target, size).unsqueeze(1), 0)


def _area(target: Tensor, size: Size) -> float:
    """Give the pixels that a cell stands for."""
    height, width = target.shape[-2:]
    return float(height * width / (size[0] * size[1]))
