"""From stored pixels to what networks take, against the formula in float64."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kdseg.data.images import Normalise, unit_images

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
images = hnp.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.just(3)))


@given(images)
def test_normalised_images_are_the_formulas(batch):
    """(x / 255 - mean) / std, channel by channel, as torchvision's to_tensor and Normalize have it."""
    found = Normalise.of(MEAN, STD, torch.device("cpu"))(torch.from_numpy(batch))
    wanted = (batch.astype(np.float64) / 255 - MEAN) / STD
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.permute(0, 2, 3, 1).numpy(), wanted, rtol=0, atol=1e-6)


@given(images)
def test_unit_images_reach_from_0_to_1_and_come_back(batch):
    found = unit_images(torch.from_numpy(batch))
    assert found.shape == (len(batch), 3, *batch.shape[1:3])
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_array_equal((found * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy(), batch)


def test_they_stay_channels_last_in_memory():
    batch = torch.zeros(2, 8, 12, 3, dtype=torch.uint8)
    assert Normalise.of(MEAN, STD, torch.device("cpu"))(batch).is_contiguous(memory_format=torch.channels_last)
