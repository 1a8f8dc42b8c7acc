from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdseg.components import ClassShares
from kdseg.data.class_weights import CLASS_WEIGHTS, effective_number, enet, median_frequency
from kdseg.errors import KdsegError

# Two images of 100 labelled pixels: the first holds classes 0 and 1, the second 0 and 2. Class 3 never occurs.
HAND = ClassShares(pixels=(150, 40, 10, 0), pixels_where_present=(200, 100, 100, 0), images=(2, 1, 1, 0))


def shares_of(counts):
    """Class shares of images, each a list of pixels by class."""
    columns = list(zip(*counts, strict=True))
    return ClassShares(
        pixels=tuple(map(sum, columns)),
        pixels_where_present=tuple(
            sum(sum(image) for image in counts if image[label]) for label in range(len(columns))
        ),
        images=tuple(sum(pixels > 0 for pixels in column) for column in columns),
    )


def test_enet_by_hand():
    assert enet(HAND) == pytest.approx([1 / math.log(1.02 + share) for share in (0.75, 0.2, 0.05, 0)], rel=1e-15)


def test_enet_stays_in_the_range_that_its_paper_states():
    """1606.02147, section 5.2: weights between 1 and 50."""
    assert enet(shares_of([[10**9, 1, 0]]))[0] == pytest.approx(1 / math.log(2.02), rel=1e-6)
    assert enet(shares_of([[10**9, 1, 0]]))[2] == pytest.approx(50.5, abs=0.01)


def test_median_frequency_by_hand():
    # f = 150/200, 40/100, 10/100; their median 0.4
    assert median_frequency(HAND) == pytest.approx([0.4 / 0.75, 1, 4, 4], rel=1e-15)


def test_effective_number_by_hand():
    raw = [0.001 / (1 - 0.999**2), 1, 1, 1]
    assert effective_number(HAND) == pytest.approx([weight * 4 / sum(raw) for weight in raw], rel=1e-12)


def test_shares_by_hand_are_those_of_the_images():
    assert shares_of([[60, 40, 0, 0], [90, 0, 10, 0]]) == HAND


counts = st.integers(1, 5).flatmap(
    lambda classes: st.lists(
        st.lists(st.integers(0, 10**6), min_size=classes, max_size=classes), min_size=1, max_size=6
    )
)


@pytest.mark.parametrize("rule", CLASS_WEIGHTS.values(), ids=CLASS_WEIGHTS)
@given(images=counts)
def test_weights_are_finite_positive_and_never_smaller_for_rarer_classes(rule, images):
    shares = shares_of(images)
    if not any(shares.pixels):
        return
    weights = rule(shares)
    assert len(weights) == len(shares.pixels)
    assert all(math.isfinite(weight) and weight > 0 for weight in weights)
    assert all(
        weight == pytest.approx(max(weights)) or rule is enet
        for weight, pixels in zip(weights, shares.pixels, strict=True)
        if not pixels
    )
    rarity = {
        enet: shares.pixels,
        median_frequency: [p / max(w, 1) for p, w in zip(shares.pixels, shares.pixels_where_present, strict=True)],
        effective_number: shares.images,
    }[rule]
    order = sorted(range(len(weights)), key=rarity.__getitem__)
    assert [weights[label] for label in order] == sorted(weights, reverse=True)


@pytest.mark.parametrize("rule", CLASS_WEIGHTS.values(), ids=CLASS_WEIGHTS)
def test_no_labels_no_weights(rule):
    with pytest.raises(KdsegError, match='set class_weights = "none"'):
        rule(shares_of([[0, 0]]))
