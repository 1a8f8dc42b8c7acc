"""Timings: percentiles, intervals, turns."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdseg.engine.profile import clock
from kdseg.engine.profile.clock import LEAST, WARM_UP, Timing, as_milliseconds, by_turns, peak_matmul, ratio

CPU = torch.device("cpu")


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60), st.floats(0.01, 1))
def test_a_percentile_is_the_nearest_rank(seconds, share):
    found = Timing(tuple(seconds)).percentile(share)
    assert sum(value <= found for value in seconds) >= share * len(seconds)
    below = [value for value in seconds if value < found]
    assert len(below) < share * len(seconds) or math.isclose(len(below), share * len(seconds))


@pytest.mark.parametrize("n", [15, 40, 101])
def test_the_interval_holds_the_true_median_as_often_as_it_says(n):
    """Of draws from a lopsided distribution, as times are."""
    numbers = np.random.default_rng(n)
    held = 0
    for _ in range(2000):
        low, high = Timing(tuple(numbers.exponential(size=n))).interval()
        held += low <= math.log(2) <= high
    assert held / 2000 >= 0.94


def test_contestants_go_by_turns_after_rounds_that_warm_up():
    calls, rounds = [], []
    found = by_turns(
        {name: lambda name=name: calls.append(name) for name in "ab"},
        device=CPU,
        rounds=6,
        on_round=lambda: rounds.append(1),
    )
    assert len(rounds) == WARM_UP + 6
    assert "".join(calls) == "abba" * 4 + "ab"
    assert {name: len(timing.seconds) for name, timing in found.items()} == {"a": 6, "b": 6}


def test_it_ends_early_but_never_before_some_rounds(monkeypatch):
    now = iter(range(10_000))
    monkeypatch.setattr(clock.time, "perf_counter", lambda: float(next(now)))
    found = by_turns({"a": lambda: None}, device=CPU, rounds=1000, seconds=3)
    assert len(found["a"].seconds) == LEAST
    assert found["a"].median == 1.0


@pytest.mark.parametrize(("rounds", "known"), [(19, (False, False)), (20, (True, False)), (100, (True, True))])
def test_a_percentile_is_told_where_a_round_lies_above_it(rounds, known):
    told = as_milliseconds(Timing(tuple(range(1, rounds + 1))))
    assert (told["p95"] is not None, told["p99"] is not None) == known


def test_a_ratio_is_taken_round_by_round():
    assert ratio(Timing((1.0, 20.0, 3.0)), Timing((0.5, 10.0, 1.0))) == 2.0


def test_the_peak_is_a_matrix_product():
    action, operations = peak_matmul(CPU, torch.float32, 64)
    assert action().shape == (64, 64)
    assert operations == 2 * 64**3
