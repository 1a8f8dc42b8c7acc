"""The labels of Mapillary Vistas v1.2 (Neuhold et al., ICCV 2017), as its config_v1.2.json defines them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from kdseg.data.samples import IGNORE_INDEX, ClassTable

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class VistasLabels:
    """The labels of one version."""

    names: tuple[str, ...]
    """Of all, by number."""
    table: ClassTable
    """Those that are evaluated."""
    as_cityscapes: Mapping[str, tuple[str, ...]]
    """Which of them each class of Cityscapes takes."""

    @property
    def own(self) -> tuple[int, ...]:
        """The index of each label in the table, `IGNORE_INDEX` where it is not evaluated."""
        indices = {name: index for index, name in enumerate(self.table.names)}
        return tuple(indices.get(name, IGNORE_INDEX) for name in self.names)


_LABELS = (
    ("Bird", "animal", (165, 42, 42)),
    ("Ground Animal", "animal", (0, 192, 0)),
    ("Curb", "construction", (196, 196, 196)),
    ("Fence", "construction", (190, 153, 153)),
    ("Guard Rail", "construction", (180, 165, 180)),
    ("Barrier", "construction", (90, 120, 150)),
    ("Wall", "construction", (102, 102, 156)),
    ("Bike Lane", "construction", (128, 64, 255)),
    ("Crosswalk - Plain", "construction", (140, 140, 200)),
    ("Curb Cut", "construction", (170, 170, 170)),
    ("Parking", "construction", (250, 170, 160)),
    ("Pedestrian Area", "construction", (96, 96, 96)),
    ("Rail Track", "construction", (230, 150, 140)),
    ("Road", "construction", (128, 64, 128)),
    ("Service Lane", "construction", (110, 110, 110)),
    ("Sidewalk", "construction", (244, 35, 232)),
    ("Bridge", "construction", (150, 100, 100)),
    ("Building", "construction", (70, 70, 70)),
    ("Tunnel", "construction", (150, 120, 90)),
    ("Person", "human", (220, 20, 60)),
    ("Bicyclist", "human", (255, 0, 0)),
    ("Motorcyclist", "human", (255, 0, 100)),
    ("Other Rider", "human", (255, 0, 200)),
    ("Lane Marking - Crosswalk", "marking", (200, 128, 128)),
    ("Lane Marking - General", "marking", (255, 255, 255)),
    ("Mountain", "nature", (64, 170, 64)),
    ("Sand", "nature", (230, 160, 50)),
    ("Sky", "nature", (70, 130, 180)),
    ("Snow", "nature", (190, 255, 255)),
    ("Terrain", "nature", (152, 251, 152)),
    ("Vegetation", "nature", (107, 142, 35)),
    ("Water", "nature", (0, 170, 30)),
    ("Banner", "object", (255, 255, 128)),
    ("Bench", "object", (250, 0, 30)),
    ("Bike Rack", "object", (100, 140, 180)),
    ("Billboard", "object", (220, 220, 220)),
    ("Catch Basin", "object", (220, 128, 128)),
    ("CCTV Camera", "object", (222, 40, 40)),
    ("Fire Hydrant", "object", (100, 170, 30)),
    ("Junction Box", "object", (40, 40, 40)),
    ("Mailbox", "object", (33, 33, 33)),
    ("Manhole", "object", (100, 128, 160)),
    ("Phone Booth", "object", (142, 0, 0)),
    ("Pothole", "object", (70, 100, 150)),
    ("Street Light", "object", (210, 170, 100)),
    ("Pole", "object", (153, 153, 153)),
    ("Traffic Sign Frame", "object", (128, 128, 128)),
    ("Utility Pole", "object", (0, 0, 80)),
    ("Traffic Light", "object", (250, 170, 30)),
    ("Traffic Sign (Back)", "object", (192, 192, 192)),
    ("Traffic Sign (Front)", "object", (220, 220, 0)),
    ("Trash Can", "object", (140, 140, 20)),
    ("Bicycle", "object", (119, 11, 32)),
    ("Boat", "object", (150, 0, 255)),
    ("Bus", "object", (0, 60, 100)),
    ("Car", "object", (0, 0, 142)),
    ("Caravan", "object", (0, 0, 90)),
    ("Motorcycle", "object", (0, 0, 230)),
    ("On Rails", "object", (0, 80, 100)),
    ("Other Vehicle", "object", (128, 64, 64)),
    ("Trailer", "object", (0, 0, 110)),
    ("Truck", "object", (0, 0, 70)),
    ("Wheeled Slow", "object", (0, 0, 192)),
    ("Car Mount", "void", (32, 32, 32)),
    ("Ego Vehicle", "void", (120, 10, 10)),
)
"""Name, category and colour of each label that is evaluated. The one after them, 65, is "Unlabeled"."""

_TABLE = ClassTable(
    names=tuple(name for name, _, _ in _LABELS),
    colours=tuple(colour for _, _, colour in _LABELS),
    categories=tuple(category for _, category, _ in _LABELS),
)

_AS_CITYSCAPES = {
    "road": ("Road", "Service Lane", "Crosswalk - Plain", "Lane Marking - Crosswalk", "Lane Marking - General"),
    "sidewalk": ("Sidewalk", "Pedestrian Area", "Curb", "Curb Cut"),
    "building": ("Building",),
    "wall": ("Wall",),
    "fence": ("Fence",),
    "pole": ("Pole", "Utility Pole"),
    "traffic light": ("Traffic Light",),
    "traffic sign": ("Traffic Sign (Front)",),
    "vegetation": ("Vegetation",),
    "terrain": ("Terrain", "Sand"),
    "sky": ("Sky",),
    "person": ("Person",),
    "rider": ("Bicyclist", "Motorcyclist", "Other Rider"),
    "car": ("Car",),
    "truck": ("Truck",),
    "bus": ("Bus",),
    "train": ("On Rails",),
    "motorcycle": ("Motorcycle",),
    "bicycle": ("Bicycle",),
}
"""By the class definitions of Cityscapes (www.cityscapes-dataset.com/dataset-overview): markings are road, kerbs and
pedestrian zones sidewalk, and a sign is its front. What those leave in doubt, such as bike lanes, or put among labels
that Cityscapes does not evaluate, such as parking, bridges and guard rails, is in none.
"""

V1_2 = VistasLabels((*_TABLE.names, "Unlabeled"), _TABLE, _AS_CITYSCAPES)
