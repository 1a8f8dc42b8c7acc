from __future__ import annotations

import subprocess
import sys

import pytest

from kdseg.components import ClassShares, LossContext
from kdseg.data.class_weights import median_frequency
from kdseg_losses.components.logit import PixelKL
from kdseg_losses.components.supervised import CrossEntropy

SHARES = ClassShares(pixels=(6, 3, 1), pixels_where_present=(10, 10, 10), images=(1, 1, 1))


def context(shares=SHARES):
    def counted():
        if shares is None:
            raise AssertionError("nobody asked for the shares")
        return shares

    return LossContext(num_classes=3, class_shares=counted, learner_taps={}, source_taps={})


def test_classes_are_counted_only_where_a_rule_asks():
    assert CrossEntropy().build(context(None)).weights is None
    assert CrossEntropy(weights=(1.0, 2.0, 3.0)).build(context(None)).weights.tolist() == [1, 2, 3]
    weights = CrossEntropy(class_weights="median_frequency").build(context()).weights
    assert weights.tolist() == pytest.approx(median_frequency(SHARES), rel=1e-6)


def test_the_number_of_weights_must_be_that_of_the_classes():
    with pytest.raises(ValueError, match="weights has 2 numbers; the dataset has 3 classes"):
        CrossEntropy(weights=(1.0, 2.0)).build(context())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"label_smoothing": -0.1}, "label_smoothing"),
        ({"label_smoothing": 1.1}, "label_smoothing"),
        ({"label_smoothing": float("nan")}, "label_smoothing"),
        ({"weights": (1.0, -1.0)}, "weights must be finite, 0 or more"),
        ({"weights": (1.0, float("nan"))}, "weights must be finite"),
        ({"weights": (0.0, 0.0)}, "not all 0"),
        ({"weights": ()}, "not all 0"),
        ({"weights": (1.0,), "class_weights": "enet"}, "leave one of them out"),
    ],
)
def test_senseless_options_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        CrossEntropy(**options)


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan")])
def test_a_temperature_is_above_0(temperature):
    with pytest.raises(ValueError, match="temperature"):
        PixelKL(temperature=temperature)


def test_the_plugin_loads_no_torch():
    code = (
        "import kdseg_losses, sys; assert not {'torch', 'triton', 'numpy', 'cv2', 'albumentations'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
