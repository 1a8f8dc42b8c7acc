"""The class tables of road-scene datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.data.samples import IGNORE_INDEX, ClassTable
from kdseg_road.cityscapes_labels import EVALUATED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CAMVID = (
    ("sky", (128, 128, 128)),
    ("building", (128, 0, 0)),
    ("pole", (192, 192, 128)),
    ("road", (128, 64, 128)),
    ("pavement", (0, 0, 192)),
    ("tree", (128, 128, 0)),
    ("sign symbol", (192, 128, 128)),
    ("fence", (64, 64, 128)),
    ("car", (64, 0, 128)),
    ("pedestrian", (64, 64, 0)),
    ("bicyclist", (0, 128, 192)),
)

CITYSCAPES = ClassTable(
    names=tuple(label.name for label in EVALUATED),
    colours=tuple(label.colour for label in EVALUATED),
    categories=tuple(label.category for label in EVALUATED),
)
"""The 19 classes that Cityscapes evaluates, by train index (Cordts et al. 2016, arXiv:1604.01685)."""

CAMVID = ClassTable(
    names=tuple(name for name, _ in _CAMVID),
    colours=tuple(colour for _, colour in _CAMVID),
)
"""The 11 classes of the SegNet release of CamVid, with the colours of CamVid (Brostow et al. 2009)."""


def as_cityscapes(names: Iterable[str], said: Mapping[str, Iterable[str]]) -> tuple[int, ...]:
    """Give the train index in Cityscapes of each of another dataset's classes.

    Args:
        names: of its classes.
        said: which of them each class of Cityscapes takes; those that none takes are ignored.
    """
    taken = {name: CITYSCAPES.names.index(ours) for ours, theirs in said.items() for name in theirs}
    return tuple(taken.get(name, IGNORE_INDEX) for name in names)
