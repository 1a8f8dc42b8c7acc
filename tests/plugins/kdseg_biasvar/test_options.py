"""The options: which trainings they ask for, and what is refused."""

from __future__ import annotations

import pytest

from kdseg import Trainings
from kdseg_biasvar.components import BiasVariance


def test_the_options_say_which_trainings_are_wanted():
    assert BiasVariance().trainings() == Trainings(samples=5)
    asked = BiasVariance(trials=4, seeds=2, resample="blocks", block=30, teacher="shared").trainings()
    assert asked == Trainings(samples=4, seeds=2, resampling="blocks", block=30, teacher="shared")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"trials": 1}, "'trials' must be >= 2"),
        ({"resample": "blocks"}, 'must be 2 or more with resample = "blocks".*found 1.*say resample = "bootstrap"'),
        ({"resample": "fresh", "block": 4}, 'is for resample = "disjoint" and "blocks".*leave it out; found 4'),
        ({"resample": "bootstrap", "block": 4}, "leave it out"),
        ({"resample": "seed", "block": 4}, "leave it out"),
        ({"resample": "seed", "seeds": 2}, 'must be 1 with resample = "seed".*found 2: say trials = 2'),
        ({"seeds": 0}, "'seeds' must be >= 1"),
        ({"neighbours": 0}, "'neighbours' must be >= 1"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(options, told):
    with pytest.raises(ValueError, match=told):
        BiasVariance(**options)


@pytest.mark.parametrize("options", [{"resample": "disjoint", "block": 7}, {"block": 7}, {"resample": "seed"}])
def test_options_that_fit_are_taken(options):
    assert BiasVariance(**options).trainings().samples == 5
