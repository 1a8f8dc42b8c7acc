"""Queues of a source's embeddings, one for each class: what came last, over all processes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdseg_losses.similarity import unit


class EmbeddingQueues(nn.Module):
    """A ring of unit vectors for each class.

    What is read at a step is what was there before the step: what the step itself adds waits for the next one. So a
    loss stays a function of its inputs however often it is called at a step, and micro-batches may come in any order.

    All is in buffers: they are checkpointed, with what waits, and equal on all processes where the same is added on all
    of them.
    """

    entries: Tensor
    """classes * length + 1 vectors; the last takes what is not kept, and stays 0."""
    heads: Tensor
    """Where each class's next vector goes."""
    filled: Tensor
    """How many vectors each class has."""
    waiting: list[Tensor]
    """What steps up to the present one have added, and nobody sees yet."""

    def __init__(self, num_classes: int, length: int, channels: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.length = length
        self._progress: float | None = None
        self.waiting = []
        self.register_buffer("entries", torch.zeros(num_classes * length + 1, channels))
        for name in ("heads", "filled"):
            self.register_buffer(name, torch.zeros(num_classes, dtype=torch.int64))
        self.register_state_dict_pre_hook(_take_in)

    def read(self, number: int, progress: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Give vectors, as many of each class, and which of them count.

        Args:
            number: of each class; all of a class that has no more, else drawn without repetition.
            progress: the step, as `LossCall.progress` tells it.
            generator: on the queues' device.

        Returns:
            E×C vectors, and E booleans.
        """
        self._begin(progress)
        readable = torch.arange(self.length, device=self.filled.device) < self.filled.unsqueeze(1)
        if number >= self.length:
            return self.entries[:-1].clone(), readable.flatten()
        keys = torch.rand(readable.shape, generator=generator, device=readable.device).masked_fill(~readable, -1)
        drawn = keys.topk(number, dim=1)
        return self.entries[(drawn.indices + self.starts()).flatten()], (drawn.values >= 0).flatten()

    def add(self, vectors: Tensor, progress: float) -> None:
        """Add vectors of each class, the oldest leaving, once the next step begins.

        Args:
            vectors: N×classes×k×C, image by image; where one is 0 there is none.
            progress: as for `read`.
        """
        self._begin(progress)
        self.waiting.append(vectors.detach())

    def _begin(self, progress: float) -> None:
        if progress != self._progress:
            self._progress = progress
            _take_in(self)

    def starts(self) -> Tensor:
        """Give where each class's ring begins among the entries, classes×1."""
        return torch.arange(self.num_classes, device=self.heads.device).unsqueeze(1) * self.length


@torch.no_grad()
def _take_in(queues: EmbeddingQueues, *_: object) -> None:
    """Write what waits into the rings."""
    for waiting in queues.waiting:
        vectors = waiting.transpose(0, 1).flatten(1, 2).to(queues.entries)
        there = vectors.square().sum(2) > 0  # NaN is not
        index = there.cumsum(1) - 1
        number = index[:, -1] + 1
        kept = there & (index >= (number - queues.length).unsqueeze(1))
        places = (queues.heads.unsqueeze(1) + index) % queues.length + queues.starts()
        places = places.masked_fill(~kept, queues.num_classes * queues.length)
        queues.entries[places] = vectors.masked_fill(~kept.unsqueeze(2), 0)
        queues.heads.add_(number).remainder_(queues.length)
        queues.filled.add_(number).clamp_(max=queues.length)
    queues.waiting.clear()


def class_samples(vectors: Tensor, labels: Tensor, num_classes: int, number: int) -> Tensor:
    """Give some vectors of each class of each image, evenly spaced among them: of n, those at i n / `number`, down.

    Args:
        vectors: N×C×P.
        labels: N×P, `IGNORE_INDEX` where a vector doesn't count.
        num_classes: how many classes there are.
        number: of each class of an image, at most.

    Returns:
        N×classes×number×C, in the order of the vectors; 0 where a class has no more.
    """
    ordered, places = labels.sort(dim=1, stable=True)
    classes = torch.arange(num_classes, device=labels.device).expand(len(labels), -1).contiguous()
    starts, ends = (torch.searchsorted(ordered, classes, right=right).unsqueeze(2) for right in (False, True))
    sizes = ends - starts
    count = torch.arange(number, device=labels.device)
    ranks = torch.where(sizes > number, count * sizes // number, count)
    there = (count < sizes).flatten(1)
    chosen = places.gather(1, (starts + ranks).flatten(1).clamp_max(labels.shape[1] - 1))
    samples = vectors.transpose(1, 2).gather(1, chosen.unsqueeze(2).expand(-1, -1, vectors.shape[1]))
    return samples.masked_fill(~there.unsqueeze(2), 0).unflatten(1, (num_classes, number))


def class_means(vectors: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Give the direction of the mean of each class's vectors in each image.

    Args:
        vectors: N×C×P.
        labels: N×P, `IGNORE_INDEX` where a vector doesn't count.
        num_classes: how many classes there are.

    Returns:
        N×classes×C, of length 1; 0 where an image lacks the class.
    """
    inside = labels.unsqueeze(1) == torch.arange(num_classes, device=labels.device).unsqueeze(1)
    return unit(inside.to(vectors.dtype) @ vectors.transpose(1, 2), dim=2)
