"""Similarities across images: to other images of the batch, and to what the source saw before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import frozen
from torch import Tensor, nn

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossModule
from kdseg_losses.cell_labels import cell_labels
from kdseg_losses.features import Pair, projector
from kdseg_losses.queues import EmbeddingQueues, class_means, class_samples
from kdseg_losses.similarity import unit

if TYPE_CHECKING:
    from kdseg.components import LossContext
    from kdseg.losses import LossCall, Prediction
    from kdseg_losses.components.relation import CrossImage

_PAPERS_CELLS = 64 * 128
"""Of a crop of 512x1024 pixels, where the published queue of pixels holds `_PAPERS_PIXELS` of each class."""
_PAPERS_PIXELS = 20_000
_LEAST_PIXELS = 1000
"""Some steps' worth: 16 cells each of 8 images fill an eighth."""


class CrossImageLoss(LossModule):
    """Divergence of the learner's similarities to cells of other images from the source's.

    Yang et al. (2204.06986), between unit vectors. The relation of a cell to some others is the softmax of its cosines
    to them, divided by the temperature; the loss is KL(source's relation || learner's). Three parts, each times its
    weight:

    - batch (the paper's mini-batch-based pixel-to-pixel distillation): to the cells of an image of the batch. The mean
      over all ordered pairs of images, one with itself among them, of the mean over the first one's cells. The images
      are those of all processes, and gradient flows to them.
    - pixel queue (memory-based pixel-to-pixel): to cells of each class that the source saw before, both networks' cells
      against the same. The mean over all cells.
    - region queue (memory-based pixel-to-region): likewise to the source's mean of a class in an image.

    Where the channels differ, the learner's pass a 1x1 convolution before they meet the queues; the paper has two, with
    normalisation and ReLU between them, always. The paper takes all cells; here, of an image that has more than
    `anchors`, so many valid ones are drawn. A queue takes up to `samples` cells of each class of an image, evenly
    spaced, and is read as it was before the step. What is not filled yet doesn't count, so the queues' parts are 0 at
    first; a vector of length 0 enters none. The authors' code begins with random vectors, which count, takes the first
    cells of an image in place of those of the class, and compares images within a process.

    Over processes the mean of their losses is that of the whole batch.
    """

    averages = False

    def __init__(self, pair: tuple[str, str], ctx: LossContext, options: CrossImage) -> None:
        super().__init__()
        mine, theirs = ctx.learner_taps[pair[0]], ctx.source_taps[pair[1]]
        self.pair = Pair(*pair, mine[1:], theirs[1:])
        self.options = options
        self.num_classes = ctx.num_classes
        self.queues = nn.ModuleDict()
        if options.pixel_queue:
            scaled = max(_PAPERS_PIXELS * mine[1] * mine[2] // _PAPERS_CELLS, _LEAST_PIXELS)
            length = options.pixel_queue_length or scaled
            self.queues["pixel"] = EmbeddingQueues(ctx.num_classes, length, theirs[0])
        if options.region_queue:
            self.queues["region"] = EmbeddingQueues(ctx.num_classes, options.region_queue_length, theirs[0])
        self.projector = projector(mine[0], theirs[0]) if self.queues else nn.Identity()

    def forward(self, learner: Prediction, source: Prediction | None, target: Tensor, call: LossCall) -> Tensor:
        """Give the weighted sum of the parts, each the mean of the micro-batch; then fill the queues."""
        assert source is not None  # a distillation loss has one
        valid = self.pair.valid(target)
        mine, theirs = self.pair.aligned(learner, source, target)
        mine, projected, theirs = (unit(one.flatten(2), dim=1) for one in (mine, self.projector(mine), theirs))
        anchors = _Anchors.drawn(valid.flatten(1), self.options.anchors, call)
        wanted = anchors.of(theirs)
        loss = mine.new_zeros(())
        if self.options.batch:
            loss = loss + self.options.batch * self._to_batch(anchors.of(mine), wanted, anchors, call)
        if self.queues:
            found = anchors.of(projected)
            for name, weight, number in (
                ("pixel", self.options.pixel_queue, self.options.pixel_contrast),
                ("region", self.options.region_queue, self.options.region_contrast),
            ):
                if weight:
                    others, counted = self.queues[name].read(
                        number // self.num_classes + 1, call.progress, call.generator
                    )
                    loss = loss + weight * self._to_queue(found, wanted, others.to(found.dtype), counted, anchors)
            labels = cell_labels(target, self.pair.size, self.num_classes).masked_fill(~valid, IGNORE_INDEX)
            self._fill(theirs, labels.flatten(1), call)
        return loss

    def _to_batch(self, learner: Tensor, source: Tensor, anchors: _Anchors, call: LossCall) -> Tensor:
        """Compare relations to each image of all processes; N×A×C vectors."""
        images = anchors.everywhere.any(1)

        def relations(vectors: Tensor) -> Tensor:
            everyone = call.gather(vectors).flatten(0, 1)
            return (self._warmed(vectors).flatten(0, 1) @ everyone.T).unflatten(1, anchors.everywhere.shape)

        rows = _divergence(relations(learner), relations(source), anchors.everywhere)  # NA×B; 0 to images without cells
        here = anchors.valid
        rows = rows.unflatten(0, here.shape).masked_fill(~here.unsqueeze(2), 0)
        means = rows.sum((1, 2)) / here.sum(1).clamp_min(1)
        return means.sum() * anchors.processes / images.sum().square().clamp_min(1)

    def _to_queue(self, learner: Tensor, source: Tensor, others: Tensor, counted: Tensor, anchors: _Anchors) -> Tensor:
        """Compare relations to what a queue holds; N×A×C vectors to E×C, E of which are counted."""
        rows = _divergence(*(self._warmed(one) @ others.T for one in (learner, source)), counted)
        total = rows.masked_fill(~anchors.valid, 0).sum()
        return total * anchors.processes / anchors.everywhere.sum().clamp_min(1)

    def _warmed(self, vectors: Tensor) -> Tensor:
        """Divide vectors by the temperature, which is cheaper than to divide each with each of them."""
        return vectors / self.options.temperature

    @torch.no_grad()
    def _fill(self, vectors: Tensor, labels: Tensor, call: LossCall) -> None:
        """Add the cells of all processes to the queues, and the means of their classes."""
        if "pixel" in self.queues:
            samples = class_samples(vectors, labels, self.num_classes, self.options.samples)
            self.queues["pixel"].add(call.gather(samples), call.progress)
        if "region" in self.queues:
            means = class_means(vectors, labels, self.num_classes).unsqueeze(2)
            self.queues["region"].add(call.gather(means), call.progress)


@frozen
class _Anchors:
    """The cells whose relations are compared, A of each image."""

    places: Tensor | None
    """N×A, among the cells; None: all of them."""
    valid: Tensor
    """N×A, which of them count."""
    everywhere: Tensor
    """B×A, likewise for the images of all processes."""

    @classmethod
    def drawn(cls, valid: Tensor, number: int, call: LossCall) -> _Anchors:
        """Draw a number of the valid cells, N×P, of each image; take all where there are no more cells."""
        places = None
        if number < valid.shape[1]:
            keys = torch.rand(valid.shape, generator=call.generator, device=valid.device).masked_fill(~valid, -1)
            places = keys.topk(number, dim=1).indices
            valid = valid.gather(1, places)
        return cls(places, valid, call.gather(valid.to(torch.uint8)) > 0)

    @property
    def processes(self) -> float:
        """How many there are: what a share of the whole batch's mean is multiplied by to be a mean of its own."""
        return len(self.everywhere) / len(self.valid)

    def of(self, vectors: Tensor) -> Tensor:
        """Give the vectors, N×C×P, at the anchors, N×A×C."""
        vectors = vectors.transpose(1, 2)
        if self.places is None:
            return vectors
        return vectors.gather(1, self.places.unsqueeze(2).expand(-1, -1, vectors.shape[2]))


def _divergence(learner: Tensor, source: Tensor, counted: Tensor) -> Tensor:
    """Give KL(source || learner) of softmaxes over the last dimension of what is counted; 0 where nothing is."""
    lowest = torch.finfo(learner.dtype).min
    found, wanted = (one.masked_fill(~counted, lowest).log_softmax(-1) for one in (learner, source))
    return (wanted.exp() * (wanted - found)).sum(-1)
