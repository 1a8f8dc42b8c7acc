"""What losses between taps share: pairs of one size, projectors, cells that count."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
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

_HALF = 0.499
"""Half, to rounding: shares come from interpolation."""


@frozen
class Pair:
    """Two taps that are compared, at the learner's size."""

    learner: str
    source: str
    size: Size
    """Height and width of the learner's tap."""
    source_size: Size

    def valid(self, target: Tensor) -> Tensor:
        """Give which of the learner's cells count, N×h×w: valid ones over which at least half of the source is too."""
        valid = valid_cells(target, self.size)
        if self.size == self.source_size:
            return valid
        share = resized(valid_cells(target, self.source_size).float().unsqueeze(1), self.size)
        return valid & (share.squeeze(1) >= _HALF)

    def aligned(self, learner: Prediction, source: Prediction, target: Tensor) -> tuple[Tensor, Tensor]:
        """Give both maps at the learner's size and in full precision, 0 at cells not valid; the source's is detached.

        A source's map of another size is brought to the learner's, each cell the weighted mean of valid ones alone.
        """
        mine = _blanked(learner.taps[self.learner], self.learner, self.size, target)
        theirs = _blanked(source.taps[self.source], self.source, self.source_size, target).detach()
        if self.size == self.source_size:
            return mine, theirs
        share = resized(valid_cells(target, self.source_size).to(theirs.dtype).unsqueeze(1), self.size)
        theirs = resized(theirs, self.size) / share.masked_fill(share == 0, 1)
        valid = self.valid(target)
        return _hidden(mine, valid), _hidden(theirs, valid)


class FeatureLoss(LossModule):
    """A mean over pairs of taps of what `pair_loss` gives, and within a pair over cells, images or micro-batches.

    Each cell counts as much as the pixels that it stands for, so all pairs count alike. A source's map of another size
    is brought to the learner's, its valid cells alone. The learner's channels pass a 1x1 convolution to the number of
    the source's where those differ, and nothing where they are alike.
    """

    per: ClassVar[Literal["pixel", "image", "batch"]] = "pixel"
    """As the component's."""
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
            counts.append(
                valid.flatten(1).any(1).sum().double()
                if self.per == "image"
                else valid.sum().double() * _area(target, pair.size)
            )
        return torch.stack(counts).sum()

    def forward(self, learner: Prediction, source: Prediction | None, target: Tensor, call: LossCall) -> Tensor:
        """Sum the pairs' losses; per batch, give their mean."""
        assert source is not None  # a distillation loss has one
        losses = []
        for number, (pair, project) in enumerate(zip(self.pairs, self.projectors, strict=True)):
            valid = pair.valid(target)
            mine, theirs = pair.aligned(learner, source, target)
            if not isinstance(project, nn.Identity):
                mine = _hidden(project(mine), valid)  # else its bias would stand there
            loss = self.numbered_pair_loss(number, mine, theirs, valid, target, call)
            losses.append(loss * _area(target, pair.size) if self.per == "pixel" else loss)
        stacked = torch.stack(losses)
        return stacked.mean() if self.per == "batch" else stacked.sum()

    def pair_loss(self, learner: Tensor, source: Tensor, valid: Tensor, call: LossCall) -> Tensor:
        """Give the loss of a pair: the sum over valid cells, or over images with one, or the mean of the micro-batch.

        Args:
            learner: N×C×h×w in float32 or float64, projected, 0 at cells that are not valid.
            source: N×C×h×w likewise, detached, at the learner's size.
            valid: N×h×w, which cells count.
            call: what else may be read.
        """
        raise NotImplementedError

    def numbered_pair_loss(
        self,
        number: int,  # noqa: ARG002 (a default for losses that need neither)
        learner: Tensor,
        source: Tensor,
        valid: Tensor,
        target: Tensor,  # noqa: ARG002
        call: LossCall,
    ) -> Tensor:
        """Give the loss of the pair `number`: for losses that have parts for each pair or read the labels.

        The others define `pair_loss`, which this calls.
        """
        return self.pair_loss(learner, source, valid, call)


def projector(channels: int, wanted: int) -> nn.Module:
    """Give a 1x1 convolution to the channels that are wanted; nothing where they are there."""
    return nn.Identity() if channels == wanted else nn.Conv2d(channels, wanted, 1)


def resized(values: Tensor, size: Size) -> Tensor:
    """Bring maps to a size: means over what becomes one cell, then interpolation where more cells are wanted."""
    height, width = values.shape[-2:]
    smaller = min(height, size[0]), min(width, size[1])
    if smaller != (height, width):
        values = F.adaptive_avg_pool2d(values, smaller)
    return values if smaller == size else F.interpolate(values, size, mode="bilinear", align_corners=False)


def _hidden(values: Tensor, valid: Tensor) -> Tensor:
    """Give maps with 0 at cells that are not valid."""
    return values.masked_fill(~valid.unsqueeze(1), 0)


def _blanked(tap: Tensor, name: str, size: Size, target: Tensor) -> Tensor:
    """Give a tap in full precision, 0 at cells that are not valid."""
    if tuple(tap.shape[-2:]) != size:
        found, checked = ("x".join(map(str, one)) for one in (tap.shape[-2:], size))
        raise KdsegError(
            f"the tap {name!r} is {found}, and {checked} in the image that the run was checked with: a loss on "
            "features needs training images of one size; end data.augment with a crop or a resize"
        )
    return _hidden(full_precision(tap), valid_cells(target, size))


def _area(target: Tensor, size: Size) -> float:
    """Give the pixels that a cell stands for."""
    height, width = target.shape[-2:]
    return float(height * width / (size[0] * size[1]))
