"""Vistas in the layout of its download, with its own classes and with those of Cityscapes."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_folder import palette_png, write
from road_layouts import SIZE, make_vistas, numbers, samples

from kdseg.errors import KdsegError
from kdseg_road import MapillaryVistas

VISTAS_TO_CITYSCAPES = {
    13: 0,
    14: 0,
    8: 0,
    23: 0,
    24: 0,  # road, service lane, crossings, markings
    15: 1,
    11: 1,
    2: 1,
    9: 1,  # sidewalk, pedestrian area, curb, curb cut
    17: 2,
    6: 3,
    3: 4,
    45: 5,
    47: 5,
    48: 6,
    50: 7,
    30: 8,
    29: 9,
    26: 9,
    27: 10,
    19: 11,
    20: 12,
    21: 12,
    22: 12,
    55: 13,
    61: 14,
    54: 15,
    58: 16,
    57: 17,
    52: 18,
}
VISTAS_2_TO_CITYSCAPES = {
    **dict.fromkeys((21, 23, 14, *range(35, 38), *range(39, 59)), 0),
    24: 1,
    19: 1,
    4: 1,
    15: 1,
    27: 2,
    28: 2,
    12: 3,
    5: 4,
    85: 5,
    88: 5,
    **dict.fromkeys(range(90, 96), 6),
    99: 7,
    100: 7,
    101: 7,
    103: 7,
    64: 8,
    63: 9,
    60: 9,
    61: 10,
    30: 11,
    32: 12,
    33: 12,
    34: 12,
    108: 13,
    114: 14,
    107: 15,
    111: 16,
    110: 17,
    105: 18,
}


@pytest.mark.parametrize("labels", ["v1.2/labels", "labels"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_vistas_is_read_as_it_is_downloaded(tmp_path, labels, split):
    stored = make_vistas(tmp_path, labels)
    found = samples(MapillaryVistas, split, root=tmp_path)
    assert (len(found), found.defects) == ({"train": 2, "val": 1}[split], ())
    for number in range(len(found)):
        truth = stored[found.ids[number]]
        assert (found[number].mask == np.where(truth == 65, 255, truth)).all()


def test_vistas_as_cityscapes_is_a_map_by_hand(tmp_path):
    stored = make_vistas(tmp_path)
    sample = samples(MapillaryVistas, root=tmp_path, classes="cityscapes19")[0]
    by_hand = np.array([VISTAS_TO_CITYSCAPES.get(label, 255) for label in range(66)])
    assert (sample.mask == by_hand[stored[sample.id]]).all()
    assert set(by_hand) == {*range(19), 255}


@pytest.mark.parametrize("classes", ["own", "cityscapes19"])
def test_vistas_of_version_2_leaves_out_what_is_not_evaluated(tmp_path, classes):
    make_vistas(tmp_path)
    found = samples(MapillaryVistas, root=tmp_path, labels="v2.0", classes=classes)
    void = [2, 31, 38, 79, 86, 96, 115, 123]
    evaluated = [label for label in range(124) if label not in void]
    by_hand = np.full(124, 255)
    if classes == "own":
        by_hand[evaluated] = range(116)
    else:
        for label, index in VISTAS_2_TO_CITYSCAPES.items():
            by_hand[label] = index
        assert set(by_hand) == {*range(19), 255}
    for number in range(2):
        assert (found[number].mask == by_hand[numbers(number + 1, 123)]).all()


def test_vistas_tests_on_images_without_labels(tmp_path):
    make_vistas(tmp_path)
    found = samples(MapillaryVistas, "test", root=tmp_path)
    assert [sample.mask for sample in (found[0],)] == [None]


def test_labels_of_another_version_are_told(tmp_path):
    make_vistas(tmp_path)
    (mask, *_) = sorted((tmp_path / "training/v1.2/labels").glob("*.png"))
    write(mask, palette_png(np.full(SIZE, 123, np.uint8), np.zeros((256, 3), np.uint8)))
    with pytest.raises(
        KdsegError, match=rf"{mask.name}: holds the label 123; those of v1\.2 go from 0 to 65; the other"
    ):
        samples(MapillaryVistas, root=tmp_path)[0]
