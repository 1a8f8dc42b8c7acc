"""The labels of IDD (Varma et al. 2019, arXiv:1811.10200) at level 3 of its hierarchy, which its benchmark scores."""

from __future__ import annotations

from kdseg.data.samples import ClassTable

_LABELS = (
    ("road", "drivable", (128, 64, 128)),
    ("parking / drivable fallback", "drivable", (250, 170, 160)),
    ("sidewalk", "non-drivable", (244, 35, 232)),
    ("rail track / non-drivable fallback", "non-drivable", (230, 150, 140)),
    ("person / animal", "living-thing", (220, 20, 60)),
    ("rider", "living-thing", (255, 0, 0)),
    ("motorcycle", "2-wheeler", (0, 0, 230)),
    ("bicycle", "2-wheeler", (119, 11, 32)),
    ("autorickshaw", "autorickshaw", (255, 204, 54)),
    ("car", "car", (0, 0, 142)),
    ("truck", "large-vehicle", (0, 0, 70)),
    ("bus", "large-vehicle", (0, 60, 100)),
    ("train / vehicle fallback", "large-vehicle", (136, 143, 153)),
    ("curb", "barrier", (220, 190, 40)),
    ("wall", "barrier", (102, 102, 156)),
    ("fence", "barrier", (190, 153, 153)),
    ("guard rail", "barrier", (180, 165, 180)),
    ("billboard", "structures", (174, 64, 67)),
    ("traffic sign", "structures", (220, 220, 0)),
    ("traffic light", "structures", (250, 170, 30)),
    ("pole", "structures", (153, 153, 153)),
    ("obs-str-bar-fallback", "structures", (169, 187, 214)),
    ("building", "construction", (70, 70, 70)),
    ("bridge / tunnel", "construction", (150, 100, 100)),
    ("vegetation", "vegetation", (107, 142, 35)),
    ("sky / fallback background", "sky", (70, 130, 180)),
)
"""By level3Id of helpers/anue_labels.py (github.com/AutoNUE/public-code): what each is made of, its category, and the
colour there of one of its labels. 12 holds caravans and trailers too.
"""

IDD = ClassTable(
    names=tuple(name for name, _, _ in _LABELS),
    colours=tuple(colour for _, _, colour in _LABELS),
    categories=tuple(category for _, category, _ in _LABELS),
)
