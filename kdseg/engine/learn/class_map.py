"""A frozen source whose classes are others than the dataset's: told in the dataset's, and heard where it knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import evolve, frozen

from kdseg.data.samples import IGNORE_INDEX
from kdseg.errors import KdsegError, did_you_mean
from kdseg.losses import Prediction, full_precision
from kdseg.recipe.schema import Frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from kdseg.recipe.schema import Recipe

ABSENT = -1e4
"""The log-probability of a class that a source does not know: 0 as a probability, and no infinity, which resizing would
turn into what is no number."""


@frozen(kw_only=True)
class ClassMap:
    """From a source's classes to the dataset's."""

    members: tuple[tuple[int, ...], ...]
    """For each class of the dataset, the source's classes that it is made of."""
    size: int
    """How many classes the source has."""

    @property
    def known(self) -> tuple[int, ...]:
        """The dataset's classes that the source knows."""
        return tuple(number for number, members in enumerate(self.members) if members)

    @property
    def is_whole(self) -> bool:
        """Whether the source knows all of them."""
        return all(self.members)

    def prediction(self, prediction: Prediction) -> Prediction:
        """Tell a prediction, and further heads of its shape, in the dataset's classes."""
        shape = prediction.logits.shape
        heads = {name: self.logits(head) if head.shape == shape else head for name, head in prediction.heads.items()}
        return evolve(prediction, logits=self.logits(prediction.logits), heads=heads)

    def logits(self, logits: Tensor) -> Tensor:
        """Give log-probabilities N×C×H×W of the dataset's classes for the source's logits N×S×H×W.

        Probabilities that fall into one class are summed, those that fall into none are left out, and the rest is
        scaled to a sum of 1.
        """
        if logits.shape[1] != self.size:
            raise ValueError(f"gives logits of {logits.shape[1]} classes; `classes` has {self.size}")
        parts = full_precision(logits).unbind(1)
        merged = {
            number: torch.stack([parts[member] for member in members], 1).logsumexp(1)
            for number, members in enumerate(self.members)
            if members
        }
        known = torch.stack([*merged.values()], 1).log_softmax(1)
        told = known.new_full((known.shape[0], len(self.members), *known.shape[2:]), ABSENT)
        for column, number in zip(known.unbind(1), merged, strict=True):
            told[:, number] = column
        return told


@frozen(kw_only=True, eq=False)
class Known:
    """What is left of predictions and labels where a term's source does not know all classes.

    The loss sees the known classes alone, those of the learner's prediction too, so that its probabilities are scaled
    to a sum of 1 over them; pixels that are labelled with another class are ignored.
    """

    classes: tuple[int, ...]
    _columns: Tensor
    _table: Tensor
    """The number among the known classes, by label."""

    @classmethod
    def of(cls, classes: Sequence[int], device: torch.device) -> Known:
        """Make it for these classes of the dataset."""
        table = torch.full((IGNORE_INDEX + 1,), IGNORE_INDEX)
        table[list(classes)] = torch.arange(len(classes))
        return cls(classes=tuple(classes), columns=torch.tensor(classes, device=device), table=table.to(device))

    def prediction(self, prediction: Prediction) -> Prediction:
        """Leave out the logits of the other classes."""
        return evolve(prediction, logits=self.logits(prediction.logits))

    def logits(self, logits: Tensor) -> Tensor:
        """Leave them out of logits N×C×H×W."""
        return logits.index_select(1, self._columns)

    def target(self, target: Tensor) -> Tensor:
        """Give labels N×H×W among the known classes; the others, and what was ignored, are ignored."""
        return self._table[target]


def class_map_of(recipe: Recipe, name: str) -> ClassMap | None:
    """Give a participant's map of classes; None where its classes are the dataset's.

    Raises:
        KdsegError: the map names classes that are not there, or its source's are not known.
    """
    spec = recipe.models[name]
    if not isinstance(spec, Frozen) or spec.class_map is None:
        return None
    ours, theirs = recipe.data.dataset.class_table().names, spec.classes
    if theirs is None:
        raise KdsegError("its classes are not known: say `classes`, their names in the order of the network's logits")
    for their, our in spec.class_map.items():
        for whose, one, known in (("the source", their, theirs), ("the dataset", our, ours)):
            if one not in known:
                hint = did_you_mean(one, known) or f"; it has {', '.join(known)}"
                raise KdsegError(f"{whose} has no class {one!r}{hint}")
    if len({*spec.class_map.values()}) == 1:
        (our,) = {*spec.class_map.values()}
        raise KdsegError(f"all becomes {our!r}; a source tells two classes apart at least")
    members = [tuple(n for n, their in enumerate(theirs) if spec.class_map.get(their) == our) for our in ours]
    return ClassMap(members=tuple(members), size=len(theirs))
