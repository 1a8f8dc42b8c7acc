"""IoU and iIoU over classes and categories as Cityscapes publishes them (Cordts et al. 2016, arXiv:1604.01685, 4.2).

Where the paper is silent, the rules are those of the official evaluator, cityscapesscripts 2.3.0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kdseg.errors import KdsegError
from kdseg.metrics.confusion import confusion_matrix
from kdseg_road.cityscapes_labels import EVALUATED, LABEL_IDS, LABELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt
    from torch import Tensor

SCORES: Mapping[str, str] = {
    "iou": "iou_by_class",
    "category_iou": "iou_by_category",
    "iiou": "iiou_by_class",
    "category_iiou": "iiou_by_category",
}
"""Each mean, and the table that it is a mean of."""

INSTANCES = "instances"
"""The extra of a sample that iIoU reads: H×W integers as in instanceIds.png, ``label id * 1000 + n`` for an object."""

AVERAGE_SIZES: Mapping[int, float] = {
    24: 3462.4756337644,
    25: 3930.4788056518,
    26: 12794.0202738185,
    27: 27855.1264367816,
    28: 35732.1511111111,
    31: 67583.7075812274,
    32: 6298.7200839748,
    33: 4672.3249222261,
}
"""Pixels of an average object of each evaluated label with instances, by label id: the evaluator's constants."""

_PER_LABEL = 1000
_VALUES = len(LABELS) * _PER_LABEL
"""Instance ids lie below."""
_ONE = 1 << 40
"""Shares of objects are added up in units of 2^-40: as integers, so that no order of images or processes changes a
bit. Eight million objects fit."""
_EVALUATED = list(LABEL_IDS)
_CATEGORIES = {
    name: [label.id for label in EVALUATED if label.category == name]
    for name in dict.fromkeys(label.category for label in EVALUATED)
}
"""The evaluated labels of each category."""
_SAME_CATEGORY = torch.tensor([[one.category == other.category for other in LABELS] for one in LABELS])
_WITHOUT_INSTANCES = torch.tensor([not label.ignored and not label.has_instances for label in LABELS])


def _ids_of(category: str) -> list[int]:
    """Give all labels of a category, ignored ones too."""
    return [label.id for label in LABELS if label.category == category]


class CityscapesMeasure:
    """Counts what all four scores need: pairs of labels by pixels, and how much of each object was found."""

    def __init__(self, label_ids: Sequence[int] = LABEL_IDS) -> None:
        """Start from nothing.

        Args:
            label_ids: the label id of each index that predictions and targets hold. As it stands they hold train ids;
                with ``range(34)`` they are label ids, of ignored labels too.
        """
        self._ids = torch.tensor(label_ids)
        self._pixels = torch.zeros(len(LABELS), len(LABELS), dtype=torch.int64)
        """A row a true label, a column a predicted one."""
        self._objects = torch.zeros(len(LABELS), 3, dtype=torch.int64)
        """Of each label's objects: how many, and the shares found as their label and as any of its category."""
        self._images = torch.zeros(2, dtype=torch.int64)
        """How many came with instance ids, and how many without."""

    def update(self, prediction: Tensor, target: Tensor, extras: Sequence[Mapping[str, Any]]) -> None:
        """Add a batch.

        Raises:
            KdsegError: for instance ids of another size than the target, or that mean nothing.
        """
        matrix = confusion_matrix(prediction, target, len(self._ids)).cpu()
        self._pixels[self._ids[:, None], self._ids] += matrix
        for predicted, extra in zip(prediction, extras, strict=True):
            instances = extra.get(INSTANCES)
            self._images[int(instances is None)] += 1
            if instances is not None:
                self._add_objects(predicted, np.asarray(instances))

    def _add_objects(self, prediction: Tensor, instances: npt.NDArray[Any]) -> None:
        if instances.shape != tuple(prediction.shape):
            raise KdsegError(f"instance ids of {instances.shape}, a target of {tuple(prediction.shape)}: not one image")
        highest = int(instances.max())
        if highest >= _VALUES:
            raise KdsegError(f"the instance id {highest} is of no label; those of Cityscapes lie below {_VALUES}")
        values = torch.from_numpy(instances.astype(np.int32)).to(prediction.device)
        columns = len(self._ids)
        cells = torch.add(prediction.int(), values, alpha=columns).flatten()
        counts = torch.bincount(cells, minlength=_VALUES * columns).view(_VALUES, columns)
        counts[: _PER_LABEL + 1] = 0  # plain label ids: groups, and labels without instances
        found = counts.sum(1).nonzero().flatten()
        predicted = torch.zeros(len(found), len(LABELS), dtype=torch.int64)
        predicted[:, self._ids] = counts[found].cpu()
        labels = found.cpu() // _PER_LABEL
        wrong = found.cpu()[_WITHOUT_INSTANCES[labels]].tolist()
        if wrong:
            raise KdsegError(
                f"the instance id {wrong[0]} is of {LABELS[wrong[0] // _PER_LABEL].name!r}, a label without instances"
            )
        sizes = predicted.sum(1)
        hits = predicted.gather(1, labels[:, None]).squeeze(1)
        near = (predicted * _SAME_CATEGORY[labels]).sum(1)
        shares = [torch.full_like(sizes, 1), _in_units(hits, sizes), _in_units(near, sizes)]
        self._objects.index_add_(0, labels, torch.stack(shares, dim=1))

    def tensors(self) -> Sequence[Tensor]:
        """Give all that was added up: integers, so that sums are exact."""
        return [self._pixels, self._objects, self._images]

    def compute(self) -> dict[str, Any]:
        """Give the four means, and the tables that they are means of.

        Raises:
            KdsegError: some images came with instance ids and some without.
        """
        have, lack = self._images.tolist()
        if have and lack:
            raise KdsegError(
                f"{lack} of {have + lack} images have no instance ids (instanceIds.png); iIoU needs those of all images"
            )
        tables = {
            "iou_by_class": {LABELS[label].name: self._iou([label]) for label in _EVALUATED},
            "iou_by_category": {name: self._iou(labels) for name, labels in _CATEGORIES.items()},
            "iiou_by_class": {LABELS[label].name: self._iiou([label], [label], 1) for label in AVERAGE_SIZES},
            "iiou_by_category": {
                name: self._iiou(labels, _ids_of(name), 2)
                for name, labels in _CATEGORIES.items()
                if all(LABELS[label].has_instances for label in _ids_of(name))
            },
        }
        means = {name: _mean(tables[table].values()) for name, table in SCORES.items()}
        return means | tables

    def _iou(self, labels: list[int]) -> float:
        """Give the IoU of evaluated labels taken as one."""
        truth = int(self._pixels[labels].sum())
        hits = int(self._pixels[labels][:, labels].sum())
        return _ratio(hits, truth + self._false_positives(labels, labels))

    def _iiou(self, labels: list[int], predicted: list[int], column: int) -> float:
        """Give the IoU in which each object of these labels weighs as one of average size.

        Args:
            labels: the true ones.
            predicted: those whose prediction elsewhere is a false positive. They are not weighted.
            column: which share of an object is its hit.
        """
        if not self._images[0]:
            return math.nan
        sizes = torch.tensor([AVERAGE_SIZES[label] for label in labels], dtype=torch.float64)
        objects = self._objects[labels].double()
        hits = float(sizes @ objects[:, column]) / _ONE
        return _ratio(hits, float(sizes @ objects[:, 0]) + self._false_positives(labels, predicted))

    def _false_positives(self, labels: list[int], predicted: list[int]) -> int:
        """Count the predictions where another evaluated label is true: those on ignored pixels count nowhere."""
        others = [label for label in _EVALUATED if label not in labels]
        return int(self._pixels[others][:, predicted].sum())


def _in_units(part: Tensor, whole: Tensor) -> Tensor:
    return (part.double() / whole * _ONE).round().long()


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _mean(values: Iterable[float]) -> float:
    """Give the mean of those that are numbers."""
    numbers = [value for value in values if not math.isnan(value)]
    return _ratio(math.fsum(numbers), len(numbers))
