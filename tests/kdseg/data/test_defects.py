from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kdseg.data.defects import MOST_ALIKE, gathered


@given(counts=st.lists(st.integers(1, 99), max_size=9), others=st.integers(0, 5))
def test_defects_that_are_alike_are_told_once_with_their_pixels(counts, others):
    alike = [f"masks/{number:02}.png: holds 7 ({count} pixels); list it" for number, count in enumerate(counts)]
    different = [f"masks/x.png: defect of its own, {chr(97 + number)}" for number in range(others)]
    found = gathered([*alike, *different])
    assert found[len(found) - others :] == different
    if len(counts) <= MOST_ALIKE:
        assert found[: len(counts)] == alike
    else:
        assert found[0] == (
            f"masks/00.png: holds 7 ({sum(counts)} pixels in {len(counts)} files); list it; and so {len(counts) - 1} "
            "more files, masks/01.png the next of them"
        )


def test_a_files_own_name_makes_no_difference():
    found = gathered([f"images/{number}.png: has no mask {number}.png" for number in range(40, 60)])
    assert found == ["images/40.png: has no mask 40.png; and so 19 more files, images/41.png the next of them"]
