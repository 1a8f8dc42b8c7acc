"""What is concluded from the values of masks."""

from __future__ import annotations

from collections import Counter

import pytest

from kdseg_folder.contents import Contents, conclude


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ([0, 1, 2, 255], {"classes": ["class_0", "class_1", "class_2"]}),
        ([0, 3, 255], {"classes": ["class_0", "class_1", "class_2", "class_3"]}),
        ([1, 2, 3], {"classes": ["class_1", "class_2", "class_3"], "reduce_zero_label": True}),
        ([0, 255], {"values": {"0": "background", "255": "foreground"}}),
        ([0, 128, 255], {"values": {"0": "class_0", "128": "class_128", "255": "class_255"}}),
        ([1000, 2000], {"values": {"1000": "class_1000", "2000": "class_2000"}}),
        ([0], {"classes": ["class_0"]}),
        ([0, 1], {"classes": ["class_0", "class_1"]}),
        ([255], {"classes": ["class_0"]}),
    ],
)
def test_numbers_are_indices_unless_they_are_far_apart(values, options):
    found, notes = conclude(Contents(counts=Counter(values), colours=False, palette={}))
    assert found == options
    assert notes


def test_a_class_that_does_not_occur_is_told():
    _, notes = conclude(Contents(counts=Counter([0, 1, 3, 5]), colours=False, palette={}))
    assert "No mask that was read holds 2, 4." in notes
