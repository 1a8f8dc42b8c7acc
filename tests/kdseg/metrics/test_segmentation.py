from __future__ import annotations

import math

import pytest
import torch

from kdseg.metrics.segmentation import scores


def test_scores_by_hand():
    found = scores(torch.tensor([[3, 1, 0], [2, 4, 0], [0, 0, 0]]), ("road", "sky", "car"))
    assert found["miou"] == pytest.approx((3 / 6 + 4 / 7) / 2, rel=1e-15)
    assert found["pixel_accuracy"] == 0.7
    assert list(found["iou"]) == ["road", "sky", "car"]
    assert found["iou"]["road"] == 0.5
    assert math.isnan(found["iou"]["car"])
    assert type(found["miou"]) is type(found["pixel_accuracy"]) is type(found["iou"]["sky"]) is float


def test_names_and_matrix_must_agree():
    with pytest.raises(ValueError, match="longer"):
        scores(torch.eye(3, dtype=torch.int64), ("road", "sky"))
