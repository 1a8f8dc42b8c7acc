"""However many steps: the means, lows and highs of curves are those of the values, and no spike is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdseg.engine.report.chart import draw
from kdseg.engine.report.curves import BINS, Curves


@given(
    st.dictionaries(st.integers(1, 20_000), st.floats(-1e6, 1e6), min_size=1, max_size=300),
    st.integers(1, 5),
)
def test_every_value_is_within_its_point(values, every):
    curves = Curves()
    for step in sorted(values):
        curves.add(step, [("all", values[step])] + ([("some", 2 * values[step])] if step % every == 0 else []))
    for name, factor in (("all", 1), ("some", 2)):
        wanted = {step: factor * value for step, value in values.items() if factor == 1 or step % every == 0}
        points = curves.points(name)
        assert len(points) <= BINS
        assert sum(point.count for point in points) == len(wanted)
        assert [point.first for point in points] == sorted({point.first for point in points})
        for point in points:
            mine = [value for step, value in wanted.items() if point.first <= step <= point.last]
            assert (point.low, point.high, point.count) == (min(mine), max(mine), len(mine))
            assert {point.first, point.last} <= wanted.keys()
            assert point.mean == pytest.approx(sum(mine) / len(mine), abs=1e-6)


def test_a_short_curve_is_exact():
    curves = Curves()
    for step in range(1, BINS):
        curves.add(step, [("loss", step / 7)])
    assert [(point.first, point.last, point.mean) for point in curves.points("loss")] == [
        (step, step, step / 7) for step in range(1, BINS)
    ]


def test_one_step_of_a_hundred_thousand_is_seen():
    curves = Curves()
    for step in range(1, 100_001):
        curves.add(step, [("loss", 50.0 if step == 61_803 else 1.0)])
    points = curves.points("loss")
    assert BINS / 2 < len(points) <= BINS
    (spike,) = [point for point in points if point.high == 50.0]
    assert spike.first <= 61_803 <= spike.last
    assert points[-1].last == 100_000


def test_a_point_stands_at_the_steps_of_its_values():
    curves = Curves()
    for step in range(1, 100_001):
        curves.add(step, [("loss", 1.0)] + ([("miou", step / 1e5)] if step % 3000 == 0 else []))
    assert [(point.first, point.last) for point in curves.points("miou")] == [
        (step, step) for step in range(3000, 100_000, 3000)
    ]


def test_a_name_that_never_came_has_no_points():
    assert Curves().points("loss") == []


def test_a_band_ends_where_no_value_is():
    curves = Curves()
    for step in range(1, 8000):
        if step % 4000 < 2000:
            curves.add(step, [("loss", float(step % 7))])
    (line,) = draw("loss", {"loss": curves.points("loss")}, {"loss": 0}, 8000).lines
    ends = [[float(pair.split()[0]) for pair in part.strip("MZ").split("L")] for part in line.band.split("Z")[:-1]]
    across = [(min(part), max(part)) for part in ends]
    assert [end for ends in across for end in ends] == pytest.approx([74, 213, 352, 491], abs=3)
