"""Sheets of tiles: shades say values, and sheets of anything can be drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kdseg.tiles import Group, Row, Span, Tile, of_components, sheet, sheet_below, tile_size

MAPS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, -np.inf, 0.0]),
)
GREY = (128, 128, 128)


def test_the_middle_of_a_signed_span_is_white_and_its_ends_are_blue_and_red():
    blue, white, red = Span(2.0, signed=True, beyond=False).paint(np.array([[-2.0, 0.0, 2.0]]))[0]
    assert white.min() > 240
    assert blue[2] > 150 > blue[0]
    assert red[0] > 150 > red[2]


def test_equal_sizes_of_both_signs_are_equally_far_from_white():
    low, high = Span(4.0, signed=True, beyond=False).paint(np.array([[-1.0, 1.0]]))[0].astype(int)
    white = np.array([247, 247, 247])
    ends = Span(4.0, signed=True, beyond=False).paint(np.array([[-4.0, 4.0]]))[0].astype(int)
    for shade, end in zip((low, high), ends, strict=True):
        np.testing.assert_allclose(shade - white, (end - white) / 4, atol=1)


def test_what_lies_beyond_has_the_last_shade_and_what_is_no_number_is_grey():
    for signed in (True, False):
        painted = Span(1.0, signed=signed, beyond=True).paint(np.array([[1.0, 9.0, np.nan, np.inf, -np.inf]]))[0]
        assert (painted[0] == painted[1]).all()
        assert (painted[2:] == GREY).all()


@given(MAPS)
def test_a_span_covers_its_values_and_is_signed_where_some_are_negative(values):
    span = Span.of(values)
    finite = values[np.isfinite(values)]
    assert span.signed == bool((finite < 0).any())
    assert span.beyond == bool((np.abs(finite) > span.end).any())
    assert (np.abs(finite) <= span.end).mean() >= 0.9 if len(finite) >= 100 else True
    if np.abs(finite).max(initial=0) > 0:
        assert span.end > 0
    painted = span.paint(values)
    assert painted.shape == (*values.shape, 3)
    assert (painted[~np.isfinite(values)] == GREY).all()


def test_a_lone_spark_among_zeros_is_seen():
    values = np.zeros((40, 40))
    values[3, 4] = 5.0
    assert Span.of(values).end == 5.0


@given(MAPS, st.integers(1, 3), st.integers(32, 90), st.integers(20, 300))
def test_a_sheet_of_anything_can_be_drawn(values, tiles, height, width):
    groups = [Group.of([values] * tiles, ["a"] * tiles), Group([Tile(np.zeros((3, 5, 3), np.uint8))])]
    size = tile_size(height, width)
    rows = [Row("tap", groups, ["one", "two"]), Row("tap", [Group([]), Group([])], told=["how it is read"])]
    one = sheet("heading", rows, size, ["left", "right"])
    assert one.dtype == np.uint8
    both = sheet_below([one, one[:, :50]])
    assert both.shape == (2 * one.shape[0], *one.shape[1:])


def test_tiles_lie_side_by_side_in_their_own_shades():
    maps = [np.full((2, 2), value) for value in (0.0, 0.5, 1.0)]
    group = Group.of(maps, ["low", "middle", "high"], signed=False)
    drawn = sheet("heading", [Row("tap", [group])], (50, 150))
    for tile in group.tiles:
        shade = tile.picture[0, 0]
        assert (drawn == shade).all(-1).sum() >= 50 * 150


def test_components_are_red_green_and_blue_around_grey():
    maps = np.zeros((3, 1, 4))
    for place in range(3):
        maps[place, 0, place] = 2.0
    painted = of_components(maps, np.array([2.0, 2.0, 2.0]))[0]
    for place in range(3):
        assert painted[place].argmax() == place
        assert painted[place].max() == 255
    assert painted[3] == pytest.approx((128, 128, 128), abs=1)
    maps[1, 0, 3] = np.nan
    assert (of_components(maps, np.ones(3))[0, 3] == 0).all()
    assert of_components(maps[:1], np.array([0.0])).shape == (1, 4, 3)
