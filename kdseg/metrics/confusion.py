"""The confusion matrix, and what follows from it.

A matrix counts pixels as integers, so sums over batches and processes are exact: add them, all-reduce them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kdseg.data.samples import IGNORE_INDEX
from kdseg.errors import KdsegError


def predicted_classes(logits: Tensor) -> Tensor:
    """Give the class of the largest logit, N×H×W uint8, of logits N×C×H×W."""
    # On a CPU, max finds it two and a half times quicker than argmax where the classes lie planes apart.
    return logits.max(dim=1).indices.to(torch.uint8)


def confusion_matrix(prediction: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """Count the pixels of each pair of a true and a predicted class.

    Args:
        prediction: integers of any shape, 0..C-1.
        target: integers of the same shape, 0..C-1, or `IGNORE_INDEX` where the pixel does not count.
        num_classes: C.

    Returns:
        C×C int64, a row a true class, a column a predicted one, on the tensors' device.

    Raises:
        KdsegError: the target holds another label.
    """
    # Every label has a row, IGNORE_INDEX too: ignored pixels spill into theirs without a mask or a copy.
    rows = IGNORE_INDEX + 1
    cells = torch.add(prediction.int(), target.int(), alpha=num_classes).flatten()
    counts = torch.bincount(cells, minlength=rows * num_classes).view(rows, num_classes)
    outside = counts[num_classes:IGNORE_INDEX].any(dim=1).nonzero()
    if len(outside):
        raise KdsegError(
            f"a mask holds the label {num_classes + int(outside[0])}; labels go from 0 to {num_classes - 1}, and "
            f"{IGNORE_INDEX} is ignored"
        )
    return counts[:num_classes]


def iou(matrix: Tensor) -> Tensor:
    """Give the intersection over union of each class, TP / (TP + FP + FN), as PASCAL VOC defines it.

    Args:
        matrix: C×C counts, a row a true class.

    Returns:
        C float64, 0..1; nan where a class is absent from truth and prediction; 0 where it is predicted alone.
    """
    matrix = matrix.cpu().double()
    hits = matrix.diagonal()
    return hits / (matrix.sum(0) + matrix.sum(1) - hits)


def mean_iou(matrix: Tensor) -> float:
    """Give the mean IoU over the classes that occur in truth or prediction; nan without any."""
    return float(iou(matrix).nanmean())


def pixel_accuracy(matrix: Tensor) -> float:
    """Give the share of counted pixels whose class is right; nan without any."""
    matrix = matrix.cpu()
    return float(matrix.diagonal().sum() / matrix.sum().double())
