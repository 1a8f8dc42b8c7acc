"""Similarities within an image: between its parts, in the learner and in the source."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from kdseg_losses.features import FeatureLoss
from kdseg_losses.similarity import unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg.components import LossContext
    from kdseg.losses import LossCall


class PairwiseSimilarityLoss(FeatureLoss):
    """The squared difference of both networks' cosines between the nodes of an image: its mean over pairs of nodes.

    1 / K^2 sum over i, j of (a_ij - b_ij)^2 over all K^2 ordered pairs, with a_ij the cosine of the learner's features
    at nodes i and j, b_ij of the source's. Pair-wise distillation of Liu et al. (1903.04197). Their nodes are squares
    of cells whose features are averaged; here each is an equal share of the map, where a cell that it cuts counts by
    what lies inside: maps of any size have the same nodes. Only valid cells are averaged, and nodes without one don't
    count. The authors' code takes the largest value in place of the mean, and lets no gradient through the lengths of
    the learner's vectors.

    Cosines need no equal number of channels, so nothing is projected.
    """

    per: ClassVar[Literal["pixel", "image"]] = "image"
    projects: ClassVar[bool] = False

    def __init__(self, pairs: Sequence[tuple[str, str]], ctx: LossContext, nodes: tuple[int, int]) -> None:
        super().__init__(pairs, ctx)
        self.nodes = nodes

    def pair_loss(self, learner: Tensor, source: Tensor, valid: Tensor, call: LossCall) -> Tensor:  # noqa: ARG002
        """Sum the images' means over pairs of nodes."""
        seen = node_sums(valid.to(learner.dtype).unsqueeze(1), self.nodes).squeeze(1) > 0
        # Nodes without a valid cell are 0 in both: they add nothing. A node's mean points where its sum does.
        cosines = [_gram(unit(node_sums(values, self.nodes).flatten(2), dim=1)) for values in (learner, source)]
        differences = (cosines[0] - cosines[1]).square().sum((1, 2))
        return (differences / seen.flatten(1).sum(1).square().clamp_min(1)).sum()


def node_sums(values: Tensor, nodes: tuple[int, int]) -> Tensor:
    """Add up what lies in each node of a grid over a map, in units of 1 / nodes of a cell's height and width.

    Args:
        values: N×C×h×w; the value of a cell spreads evenly over it.
        nodes: rows and columns of the grid.

    Returns:
        N×C×rows×columns.
    """
    rows, columns = (_overlaps(cells, number, values) for cells, number in zip(values.shape[-2:], nodes, strict=True))
    return rows @ values @ columns.T


def _overlaps(cells: int, nodes: int, like: Tensor) -> Tensor:
    """Give what each of some nodes, in a row, covers of each of some cells in as long a row: whole numbers."""
    node, cell = (torch.arange(number, device=like.device) for number in (nodes, cells))
    node, cell = node.unsqueeze(1) * cells, cell.unsqueeze(0) * nodes  # where they begin
    return (torch.minimum(node + cells, cell + nodes) - torch.maximum(node, cell)).clamp_min(0).to(like.dtype)


def _gram(vectors: Tensor) -> Tensor:
    return vectors.transpose(1, 2) @ vectors
