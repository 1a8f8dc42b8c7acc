"""The class of each cell of a tap."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import valid_cells


def cell_labels(target: Tensor, size: tuple[int, int], num_classes: int) -> Tensor:
    """Give the most frequent class of each cell's valid pixels, `IGNORE_INDEX` where the cell is not valid.

    Of equally frequent classes the lowest counts. One class is looked at after the other, so that memory does not grow
    with their number.

    Args:
        target: N×H×W integers, `IGNORE_INDEX` where ignored.
        size: height and width of the tap.
        num_classes: how many there are.

    Returns:
        N×h×w, int64.
    """
    if size == tuple(target.shape[-2:]):
        return target.long()
    labels = torch.full((len(target), *size), IGNORE_INDEX, device=target.device)
    most = torch.zeros((len(target), *size), device=target.device)
    for number in range(num_classes):
        share = F.adaptive_avg_pool2d((target == number).float().unsqueeze(1), size).squeeze(1)
        labels = labels.masked_fill(share > most, number)
        most = torch.maximum(most, share)
    return labels.masked_fill(~valid_cells(target, size), IGNORE_INDEX)
