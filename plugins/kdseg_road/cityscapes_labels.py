"""The labels of Cityscapes (Cordts et al. 2016, arXiv:1604.01685), as its official scripts 2.3.0 define them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from kdseg.data.samples import IGNORE_INDEX

if TYPE_CHECKING:
    from collections.abc import Sequence


@frozen
class Label:
    """What one value of a labelIds.png means."""

    id: int
    name: str
    train_id: int
    """0..18, or `IGNORE_INDEX` where the benchmark does not evaluate the label."""
    category: str
    has_instances: bool
    """Whether objects of the label are told apart in instanceIds.png, as ``id * 1000 + n``; groups hold plain ids."""
    colour: tuple[int, int, int]
    """RGB. Several labels share one: never tell labels by colour."""

    @property
    def ignored(self) -> bool:
        """Whether pixels of this label count nowhere."""
        return self.train_id == IGNORE_INDEX


_, _THING = False, True
_VOID = IGNORE_INDEX
LABELS: Sequence[Label] = (
    Label(0, "unlabeled", _VOID, "void", _, (0, 0, 0)),
    Label(1, "ego vehicle", _VOID, "void", _, (0, 0, 0)),
    Label(2, "rectification border", _VOID, "void", _, (0, 0, 0)),
    Label(3, "out of roi", _VOID, "void", _, (0, 0, 0)),
    Label(4, "static", _VOID, "void", _, (0, 0, 0)),
    Label(5, "dynamic", _VOID, "void", _, (111, 74, 0)),
    Label(6, "ground", _VOID, "void", _, (81, 0, 81)),
    Label(7, "road", 0, "flat", _, (128, 64, 128)),
    Label(8, "sidewalk", 1, "flat", _, (244, 35, 232)),
    Label(9, "parking", _VOID, "flat", _, (250, 170, 160)),
    Label(10, "rail track", _VOID, "flat", _, (230, 150, 140)),
    Label(11, "building", 2, "construction", _, (70, 70, 70)),
    Label(12, "wall", 3, "construction", _, (102, 102, 156)),
    Label(13, "fence", 4, "construction", _, (190, 153, 153)),
    Label(14, "guard rail", _VOID, "construction", _, (180, 165, 180)),
    Label(15, "bridge", _VOID, "construction", _, (150, 100, 100)),
    Label(16, "tunnel", _VOID, "construction", _, (150, 120, 90)),
    Label(17, "pole", 5, "object", _, (153, 153, 153)),
    Label(18, "polegroup", _VOID, "object", _, (153, 153, 153)),
    Label(19, "traffic light", 6, "object", _, (250, 170, 30)),
    Label(20, "traffic sign", 7, "object", _, (220, 220, 0)),
    Label(21, "vegetation", 8, "nature", _, (107, 142, 35)),
    Label(22, "terrain", 9, "nature", _, (152, 251, 152)),
    Label(23, "sky", 10, "sky", _, (70, 130, 180)),
    Label(24, "person", 11, "human", _THING, (220, 20, 60)),
    Label(25, "rider", 12, "human", _THING, (255, 0, 0)),
    Label(26, "car", 13, "vehicle", _THING, (0, 0, 142)),
    Label(27, "truck", 14, "vehicle", _THING, (0, 0, 70)),
    Label(28, "bus", 15, "vehicle", _THING, (0, 60, 100)),
    Label(29, "caravan", _VOID, "vehicle", _THING, (0, 0, 90)),
    Label(30, "trailer", _VOID, "vehicle", _THING, (0, 0, 110)),
    Label(31, "train", 16, "vehicle", _THING, (0, 80, 100)),
    Label(32, "motorcycle", 17, "vehicle", _THING, (0, 0, 230)),
    Label(33, "bicycle", 18, "vehicle", _THING, (119, 11, 32)),
)
"""By id: 0..33. The scripts' licence plate, -1, is never drawn."""

EVALUATED: Sequence[Label] = sorted((label for label in LABELS if not label.ignored), key=lambda label: label.train_id)
"""By train id: 0..18."""

TRAIN_IDS: Sequence[int] = tuple(label.train_id for label in LABELS)
"""Label id to train id, `IGNORE_INDEX` where ignored: 34 entries."""

LABEL_IDS: Sequence[int] = tuple(label.id for label in EVALUATED)
"""Train id to label id: 19 entries."""
