"""Numbers on a whole split, in eval mode, over processes without duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from kdseg.data.loader import eval_batches
from kdseg.metrics.confusion import confusion_matrix, predicted_classes
from kdseg.metrics.segmentation import scores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from kdseg.data.samples import Samples
    from kdseg.engine.participants import Participant
    from kdseg.engine.processes import Processes


@torch.no_grad()
def evaluate(
    participants: Mapping[str, Participant],
    samples: Samples,
    *,
    classes: tuple[str, ...],
    processes: Processes,
    normalise: Callable[[Tensor], Tensor],
    batch_size: int,
    workers: int,
    on_batch: Callable[[int], None] = lambda _images: None,
) -> dict[str, dict[str, Any]]:
    """Score participants on the same images.

    Args:
        participants: who is judged, by name.
        samples: the whole split.
        classes: the names of the classes.
        processes: the processes that share the work.
        normalise: makes uint8 images what the networks take.
        batch_size: images at once in each process.
        workers: loader workers of each process.
        on_batch: told how many images of this process each batch finished.

    Returns:
        For each participant, its scores as `kdseg.metrics.segmentation.scores` gives them.
    """
    size = len(classes)
    matrices = {name: torch.zeros(size, size, dtype=torch.int64, device=processes.device) for name in participants}
    for participant in participants.values():
        participant.set_training(False)
    loader = eval_batches(
        samples,
        batch_size=batch_size,
        rank=processes.rank,
        world=processes.world,
        num_classes=size,
        workers=workers,
    )
    for batch in loader:
        images = normalise(batch.images.to(processes.device, non_blocking=True))
        target = batch.masks.to(processes.device, non_blocking=True)
        for name, participant in participants.items():
            with processes.autocast():
                logits = participant.predict(images).logits
            matrices[name] += confusion_matrix(predicted_classes(logits), target, size)
        on_batch(len(batch.ids))
    processes.sum_(list(matrices.values()))
    return {name: scores(matrix, classes) for name, matrix in matrices.items()}
