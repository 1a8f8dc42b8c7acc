"""The class tables of road-scene datasets."""

from __future__ import annotations

from kdseg.data.samples import ClassTable

_CITYSCAPES = (
    ("road", (128, 64, 128), "flat"),
    ("sidewalk", (244, 35, 232), "flat"),
    ("building", (70, 70, 70), "construction"),
    ("wall", (102, 102, 156), "construction"),
    ("fence", (190, 153, 153), "construction"),
    ("pole", (153, 153, 153), "object"),
    ("traffic light", (250, 170, 30), "object"),
    ("traffic sign", (220, 220, 0), "object"),
    ("vegetation", (107, 142, 35), "nature"),
    ("terrain", (152, 251, 152), "nature"),
    ("sky", (70, 130, 180), "sky"),
    ("person", (220, 20, 60), "human"),
    ("rider", (255, 0, 0), "human"),
    ("car", (0, 0, 142), "vehicle"),
    ("truck", (0, 0, 70), "vehicle"),
    ("bus", (0, 60, 100), "vehicle"),
    ("train", (0, 80, 100), "vehicle"),
    ("motorcycle", (0, 0, 230), "vehicle"),
    ("bicycle", (119, 11, 32), "vehicle"),
)
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
    names=tuple(name for name, _, _ in _CITYSCAPES),
    colours=tuple(colour for _, colour, _ in _CITYSCAPES),
    categories=tuple(category for _, _, category in _CITYSCAPES),
)
"""The 19 classes that Cityscapes evaluates, by train index (Cordts et al. 2016, arXiv:1604.01685)."""

CAMVID = ClassTable(
    names=tuple(name for name, _ in _CAMVID),
    colours=tuple(colour for _, colour in _CAMVID),
)
"""The 11 classes of the SegNet release of CamVid, with the colours of CamVid (Brostow et al. 2009)."""
