"""The labels of Mapillary Vistas v2.0, as its config_v2.0.json defines them."""

from __future__ import annotations

from kdseg.data.samples import ClassTable
from kdseg_road.vistas_labels import V1_2, VistasLabels

_LABELS: dict[str, dict[str, tuple[int, int, int] | None]] = {
    "animal": {
        "Bird": (165, 42, 42),
        "Ground Animal": (0, 192, 0),
    },
    "construction": {
        "Ambiguous Barrier": None,
        "Concrete Block": (250, 170, 32),
        "Curb": (196, 196, 196),
        "Fence": (190, 153, 153),
        "Guard Rail": (180, 165, 180),
        "Barrier": (90, 120, 150),
        "Road Median": (250, 170, 33),
        "Road Side": (250, 170, 34),
        "Lane Separator": (128, 128, 128),
        "Temporary Barrier": (250, 170, 35),
        "Wall": (102, 102, 156),
        "Bike Lane": (128, 64, 255),
        "Crosswalk - Plain": (140, 140, 200),
        "Curb Cut": (170, 170, 170),
        "Driveway": (250, 170, 36),
        "Parking": (250, 170, 160),
        "Parking Aisle": (250, 170, 37),
        "Pedestrian Area": (96, 96, 96),
        "Rail Track": (230, 150, 140),
        "Road": (128, 64, 128),
        "Road Shoulder": (110, 110, 110),
        "Service Lane": (110, 110, 110),
        "Sidewalk": (244, 35, 232),
        "Traffic Island": (128, 196, 128),
        "Bridge": (150, 100, 100),
        "Building": (70, 70, 70),
        "Garage": (150, 150, 150),
        "Tunnel": (150, 120, 90),
    },
    "human": {
        "Person": (220, 20, 60),
        "Person Group": None,
        "Bicyclist": (255, 0, 0),
        "Motorcyclist": (255, 0, 100),
        "Other Rider": (255, 0, 200),
    },
    "marking": {
        "Lane Marking - Dashed Line": (255, 255, 255),
        "Lane Marking - Straight Line": (255, 255, 255),
        "Lane Marking - Zigzag Line": (250, 170, 29),
        "Lane Marking - Ambiguous": None,
        "Lane Marking - Arrow (Left)": (250, 170, 26),
        "Lane Marking - Arrow (Other)": (250, 170, 25),
        "Lane Marking - Arrow (Right)": (250, 170, 24),
        "Lane Marking - Arrow (Split Left or Straight)": (250, 170, 22),
        "Lane Marking - Arrow (Split Right or Straight)": (250, 170, 21),
        "Lane Marking - Arrow (Straight)": (250, 170, 20),
        "Lane Marking - Crosswalk": (255, 255, 255),
        "Lane Marking - Give Way (Row)": (250, 170, 19),
        "Lane Marking - Give Way (Single)": (250, 170, 18),
        "Lane Marking - Hatched (Chevron)": (250, 170, 12),
        "Lane Marking - Hatched (Diagonal)": (250, 170, 11),
        "Lane Marking - Other": (255, 255, 255),
        "Lane Marking - Stop Line": (255, 255, 255),
        "Lane Marking - Symbol (Bicycle)": (250, 170, 16),
        "Lane Marking - Symbol (Other)": (250, 170, 15),
        "Lane Marking - Text": (250, 170, 15),
    },
    "marking-only": {
        "Lane Marking (only) - Dashed Line": (255, 255, 255),
        "Lane Marking (only) - Crosswalk": (255, 255, 255),
        "Lane Marking (only) - Other": (255, 255, 255),
        "Lane Marking (only) - Test": (255, 255, 255),
    },
    "nature": {
        "Mountain": (64, 170, 64),
        "Sand": (230, 160, 50),
        "Sky": (70, 130, 180),
        "Snow": (190, 255, 255),
        "Terrain": (152, 251, 152),
        "Vegetation": (107, 142, 35),
        "Water": (0, 170, 30),
    },
    "object": {
        "Banner": (255, 255, 128),
        "Bench": (250, 0, 30),
        "Bike Rack": (100, 140, 180),
        "Catch Basin": (220, 128, 128),
        "CCTV Camera": (222, 40, 40),
        "Fire Hydrant": (100, 170, 30),
        "Junction Box": (40, 40, 40),
        "Mailbox": (33, 33, 33),
        "Manhole": (100, 128, 160),
        "Parking Meter": (20, 20, 255),
        "Phone Booth": (142, 0, 0),
        "Pothole": (70, 100, 150),
        "Signage - Advertisement": (250, 171, 30),
        "Signage - Ambiguous": None,
        "Signage - Back": (250, 173, 30),
        "Signage - Information": (250, 174, 30),
        "Signage - Other": (250, 175, 30),
        "Signage - Store": (250, 176, 30),
        "Street Light": (210, 170, 100),
        "Pole": (153, 153, 153),
        "Pole Group": None,
        "Traffic Sign Frame": (128, 128, 128),
        "Utility Pole": (0, 0, 80),
        "Traffic Cone": (210, 60, 60),
        "Traffic Light - General (Single)": (250, 170, 30),
        "Traffic Light - Pedestrians": (250, 170, 30),
        "Traffic Light - General (Upright)": (250, 170, 30),
        "Traffic Light - General (Horizontal)": (250, 170, 30),
        "Traffic Light - Cyclists": (250, 170, 30),
        "Traffic Light - Other": (250, 170, 30),
        "Traffic Sign - Ambiguous": None,
        "Traffic Sign (Back)": (192, 192, 192),
        "Traffic Sign - Direction (Back)": (192, 192, 192),
        "Traffic Sign - Direction (Front)": (220, 220, 0),
        "Traffic Sign (Front)": (220, 220, 0),
        "Traffic Sign - Parking": (0, 0, 196),
        "Traffic Sign - Temporary (Back)": (192, 192, 192),
        "Traffic Sign - Temporary (Front)": (220, 220, 0),
        "Trash Can": (140, 140, 20),
        "Bicycle": (119, 11, 32),
        "Boat": (150, 0, 255),
        "Bus": (0, 60, 100),
        "Car": (0, 0, 142),
        "Caravan": (0, 0, 90),
        "Motorcycle": (0, 0, 230),
        "On Rails": (0, 80, 100),
        "Other Vehicle": (128, 64, 64),
        "Trailer": (0, 0, 110),
        "Truck": (0, 0, 70),
        "Vehicle Group": None,
        "Wheeled Slow": (0, 0, 192),
        "Water Valve": (170, 170, 170),
    },
    "void": {
        "Car Mount": (32, 32, 32),
        "Dynamic": (111, 74, 0),
        "Ego Vehicle": (120, 10, 10),
        "Ground": (81, 0, 81),
        "Static": (111, 111, 0),
        "Unlabeled": None,
    },
}
"""By category and name, in the order of their numbers: the colour, or None where a label is not evaluated."""

_EVALUATED = [
    (name, category, colour)
    for category, labels in _LABELS.items()
    for name, colour in labels.items()
    if colour is not None
]
_TABLE = ClassTable(
    names=tuple(name for name, _, _ in _EVALUATED),
    colours=tuple(colour for _, _, colour in _EVALUATED),
    categories=tuple(category for _, category, _ in _EVALUATED),
)
_MARKINGS = tuple(name for name, category, _ in _EVALUATED if category.startswith("marking"))
_LIGHTS = tuple(name for name in _TABLE.names if name.startswith("Traffic Light"))

_AS_CITYSCAPES = {
    **V1_2.as_cityscapes,
    "road": ("Road", "Service Lane", "Crosswalk - Plain", *_MARKINGS),
    "building": ("Building", "Garage"),
    "traffic light": _LIGHTS,
    "traffic sign": (
        *("Traffic Sign (Front)", "Traffic Sign - Direction (Front)"),
        *("Traffic Sign - Parking", "Traffic Sign - Temporary (Front)"),
    ),
}
"""As for v1.2, whose labels are parted further here."""

V2_0 = VistasLabels(tuple(name for labels in _LABELS.values() for name in labels), _TABLE, _AS_CITYSCAPES)
