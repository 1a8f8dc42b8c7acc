from __future__ import annotations

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from kdseg.data.labelled import highest_label, labelled
from kdseg.data.samples import IGNORE_INDEX
from kdseg.errors import KdsegError


def test_a_sound_sample_is_left_as_it_is(scenes):
    sample = scenes(count=1)[0]
    assert labelled(sample) is sample


def test_an_unlabelled_sample_is_ignored_everywhere(scenes):
    sample = labelled(scenes(count=1, unlabelled=(0,))[0])
    assert sample.mask.shape == sample.image.shape[:2]
    assert sample.mask.dtype == np.uint8
    assert (sample.mask == IGNORE_INDEX).all()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"image": np.zeros((4, 6, 3), np.float32)}, "its image is float32 4x6x3"),
        ({"image": np.zeros((4, 6), np.uint8)}, "its image is uint8 4x6"),
        ({"image": np.zeros((4, 6, 4), np.uint8)}, "its image is uint8 4x6x4"),
        ({"mask": np.zeros((24, 32), np.int64)}, "its mask is int64 24x32"),
        ({"mask": np.zeros((12, 32), np.uint8)}, "its mask is uint8 12x32"),
        ({"mask": np.zeros((24, 32, 1), np.uint8)}, "its mask is uint8 24x32x1"),
    ],
)
def test_a_malformed_sample_is_told_by_name(scenes, changes, says):
    with pytest.raises(KdsegError, match=f"scene0: {says}"):
        labelled(evolve(scenes(count=1)[0], **changes))


@given(st.lists(st.sampled_from([*range(20), 126, 127, 128, 149, 253, 254, 255]), min_size=1, max_size=8))
def test_the_highest_label_is_the_highest_that_is_not_ignored(labels):
    mask = np.array([labels, labels[::-1]], np.uint8)
    wanted = max((label for label in labels if label != IGNORE_INDEX), default=-1)
    assert highest_label(mask) == highest_label(mask[:, ::-1]) == highest_label(mask[::-1, : len(labels)]) == wanted
