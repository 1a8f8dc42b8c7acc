"""Numbers on a whole split, in eval mode, over processes without duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from attrs import frozen

from kdseg.components import MetricContext
from kdseg.data.loader import eval_batches
from kdseg.metrics.confusion import confusion_matrix
from kdseg.metrics.measure import made
from kdseg.metrics.segmentation import scores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from kdseg.components import Metric
    from kdseg.data.samples import ClassTable, Samples
    from kdseg.engine.learn.participants import Participant
    from kdseg.engine.machine.processes import Processes
    from kdseg.engine.models.whole_image import WholeImage
    from kdseg.metrics.measure import Measure


@frozen(eq=False)
class Judgement:
    """What one participant is worth on a split."""

    scores: dict[str, Any]
    """As `kdseg.metrics.segmentation.scores` gives them, and those of the metrics as ``METRIC/SCORE``."""
    matrix: Tensor
    """C×C counts of pixels, a row a true class."""


@torch.no_grad()
def evaluate(
    participants: Mapping[str, Participant],
    samples: Samples,
    *,
    classes: ClassTable,
    metrics: Sequence[Metric],
    processes: Processes,
    normalise: Callable[[Tensor], Tensor],
    batch_size: int,
    whole_image: WholeImage,
    workers: int,
    on_batch: Callable[[int], None] = lambda _images: None,
) -> dict[str, Judgement]:
    """Score participants on the same images.

    Args:
        participants: who is judged, by name.
        samples: the whole split.
        classes: the classes.
        metrics: what scores them, beside the plain scores.
        processes: the processes that share the work.
        normalise: makes uint8 images what the networks take.
        batch_size: images at once in each process.
        whole_image: how each of them passes through a network.
        workers: loader workers of each process.
        on_batch: told how many images of this process each batch finished.

    Returns:
        For each participant, what it is worth.

    Raises:
        KdsegError: a metric cannot be made.
    """
    size = len(classes)
    matrices = {name: torch.zeros(size, size, dtype=torch.int64, device=processes.device) for name in participants}
    context = MetricContext(classes=classes)
    measures = {name: {metric.name: made(metric, context) for metric in metrics} for name in participants}
    for participant in participants.values():
        participant.set_training(False)
    loader = eval_batches(
        samples,
        batch_size=batch_size,
        rank=processes.rank,
        world=processes.world,
        num_classes=size,
        workers=workers,
        pinned=processes.device.type == "cuda",
    )
    for batch in loader:
        brought = processes.bring(batch)
        images, target = normalise(brought.images), brought.masks
        for name, participant in participants.items():
            with processes.autocast():
                prediction = whole_image.classes(participant.logits, images)
            matrices[name] += confusion_matrix(prediction, target, size)
            for measure in measures[name].values():
                measure.update(prediction, target, batch.extras)
        on_batch(len(batch.ids))
    sums = [measure.tensors() for those in measures.values() for measure in those.values()]
    processes.sum_([*matrices.values(), *(tensor for tensors in sums for tensor in tensors)])
    return {
        name: Judgement(scores(matrices[name], classes.names) | _computed(measures[name]), matrices[name])
        for name in participants
    }


def _computed(measures: Mapping[str, Measure]) -> dict[str, Any]:
    return {
        f"{metric}/{score}": value for metric, measure in measures.items() for score, value in measure.compute().items()
    }
