from __future__ import annotations

import pytest

from kdseg.components import LossContext
from kdseg_losses.components.logit import DIST, DKD, LOSSES, BoundaryKL, GatedKL, OptimalTransport, PixelKL

COST = ((0.0, 1.0, 2.0), (1.0, 0.0, 1.0), (2.0, 1.0, 0.0))


def context(classes):
    return LossContext(num_classes=classes, class_shares=lambda: None, learner_taps={}, source_taps={})


@pytest.mark.parametrize("component", LOSSES)
@pytest.mark.parametrize("temperature", [0.0, -1.0, 1e3, float("nan"), float("inf")])
def test_a_temperature_is_above_0_and_finite(component, temperature):
    with pytest.raises(ValueError, match="temperature"):
        component(temperature=temperature)


@pytest.mark.parametrize(
    ("component", "options", "says"),
    [
        (BoundaryKL, {"radius": 0.0}, "radius"),
        (BoundaryKL, {"radius": 3.0}, "radius"),
        (BoundaryKL, {"weight": -1.0}, "weight"),
        (BoundaryKL, {"weight": float("nan")}, "weight"),
        (GatedKL, {"gate": "sure"}, "needs a threshold"),
        (GatedKL, {"gate": "sure", "threshold": 1.5}, "threshold"),
        (GatedKL, {"threshold": 0.9}, "gate = 'right' has no threshold"),
        (DKD, {"alpha": -1.0}, "alpha"),
        (DKD, {"beta": float("inf")}, "beta"),
        (DKD, {"alpha": 0.0, "beta": 0.0}, "alpha and beta are both 0"),
        (DIST, {"gamma": -1.0}, "gamma"),
        (DIST, {"beta": 0.0, "gamma": 0.0}, "beta and gamma are both 0"),
        (OptimalTransport, {"epsilon": 0.0}, "epsilon"),
        (OptimalTransport, {"epsilon": 0.01}, r"at least 1/80 of the largest cost, 0.0125, .* found 0.01"),
        (OptimalTransport, {"epsilon": 0.02, "cost": COST}, r"at least 1/80 of the largest cost, 0.025"),
        (OptimalTransport, {"iterations": 0}, "iterations"),
        (OptimalTransport, {"cost": ()}, "cost must be square"),
        (OptimalTransport, {"cost": ((0.0, 1.0),)}, r"cost must be square; found rows of \[2\] numbers"),
        (OptimalTransport, {"cost": ((0.0, 1.0), (1.0,))}, r"cost must be square; found rows of \[2, 1\] numbers"),
        (OptimalTransport, {"cost": ((0.0, 1.0), (2.0, 0.0))}, "cost must be symmetric; found 1.0 in row 0, column 1"),
        (OptimalTransport, {"cost": ((0.0, 1.0), (1.0, 0.5))}, "0 on the diagonal; found 0.5 in row 1"),
        (OptimalTransport, {"cost": ((0.0, -1.0), (-1.0, 0.0))}, "found -1.0 in row 0, column 1"),
        (OptimalTransport, {"cost": ((0.0, float("nan")), (float("nan"), 0.0))}, "found nan in row 0, column 1"),
        (OptimalTransport, {"cost": ((0.0, 0.0), (0.0, 0.0))}, "not be 0 everywhere"),
    ],
)
def test_senseless_options_are_refused(component, options, says):
    with pytest.raises(ValueError, match=says):
        component(**options)


def test_the_size_of_a_cost_must_be_that_of_the_classes():
    assert OptimalTransport(cost=COST).build(context(3)).cost.tolist() == [list(row) for row in COST]
    with pytest.raises(ValueError, match="cost has 3 rows; the dataset has 19 classes"):
        OptimalTransport(cost=COST).build(context(19))


def test_without_a_cost_all_mistakes_cost_alike():
    assert OptimalTransport().build(context(3)).cost.tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]


def test_defaults_are_the_published_ones():
    """Zhao et al.'s and Huang et al.'s own code; Hinton et al.'s divergence is forward."""
    assert (DKD().alpha, DKD().beta, DKD().temperature) == (1, 8, 4)
    assert (DIST().beta, DIST().gamma, DIST().temperature) == (1, 1, 1)
    assert PixelKL().direction == "forward"
    assert not any(component().standardise for component in LOSSES)
