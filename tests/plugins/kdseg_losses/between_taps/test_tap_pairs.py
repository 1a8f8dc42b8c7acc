"""What recipes say of taps, read against the stages of two networks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdseg.errors import KdsegError
from kdseg_losses.tap_pairs import sides, tap_pairs

SHALLOW = ("encoder.1", "encoder.2", "bottleneck", "decoder.2", "decoder.1")
DEEP = ("encoder.1", "encoder.2", "encoder.3", "bottleneck", "decoder.3", "decoder.2", "decoder.1")


@pytest.mark.parametrize(
    ("asked", "pairs"),
    [
        (["bottleneck"], [("bottleneck", "bottleneck")]),
        (["encoder.2 -> encoder.3"], [("encoder.2", "encoder.3")]),
        (["encoder.2->encoder.3"], [("encoder.2", "encoder.3")]),
        (["encoder.1.0"], [("encoder.1.0", "encoder.1.0")]),
        (["encoder"], [("encoder.1", "encoder.1"), ("encoder.2", "encoder.2")]),
        (["decoder"], [("decoder.2", "decoder.2"), ("decoder.1", "decoder.1")]),
        (["all"], [(name, name) for name in SHALLOW]),
        (["bottleneck", "bottleneck -> encoder.3", "bottleneck"], [("bottleneck",) * 2, ("bottleneck", "encoder.3")]),
        (["encoder.1", "encoder"], [("encoder.1", "encoder.1"), ("encoder.2", "encoder.2")]),
    ],
)
def test_pairs_names_and_words(asked, pairs):
    assert tap_pairs(asked, SHALLOW, DEEP) == tuple(pairs)


def test_a_stage_is_asked_for_once_on_each_side():
    pairs = tap_pairs(["bottleneck -> encoder.3", "bottleneck", "encoder.2 -> bottleneck"], SHALLOW, DEEP)
    assert sides(pairs) == (("bottleneck", "encoder.2"), ("encoder.3", "bottleneck"))


@pytest.mark.parametrize("text", ["", "->", "a ->", "-> a", "a -> b -> c"])
def test_what_is_no_pair_is_refused(text):
    with pytest.raises(KdsegError, match=r"is no pair of taps; write \"encoder.3 -> encoder.3\", learner first"):
        tap_pairs([text], SHALLOW, DEEP)


def test_none_are_refused():
    with pytest.raises(KdsegError, match="between: none are named; name a pair, or one of encoder, bottleneck"):
        tap_pairs([], SHALLOW, DEEP)


def test_a_word_without_a_common_stage_is_refused():
    with pytest.raises(KdsegError, match=r"no stage called 'decoder' is common to both; the learner has layer\.1, the"):
        tap_pairs(["decoder"], ["layer.1"], DEEP)
    with pytest.raises(KdsegError, match=r"the source no stages; name a pair: \"TAP -> TAP\""):
        tap_pairs(["all"], SHALLOW, [])


def test_a_word_that_the_asked_names_would_make_ambiguous_is_refused():
    crossed = ["encoder", "encoder.1.0 -> encoder.1.1", "encoder.1.1 -> encoder.1.0"]
    with pytest.raises(KdsegError, match=r"'encoder\.1\.[01]' is named for both networks, in different pairs"):
        tap_pairs(crossed, SHALLOW, DEEP)
    assert len(tap_pairs([*crossed[1:], "encoder.1"], SHALLOW, DEEP)) == 3


NAMES = st.sampled_from([*DEEP, "encoder.1.0", "encoder.4", "head"])
STAGES = st.lists(st.sampled_from([*DEEP, "encoder.4", "stem"]), unique=True)
ASKED = st.lists(
    st.one_of(
        st.sampled_from(["encoder", "bottleneck", "decoder", "all"]), NAMES, st.tuples(NAMES, NAMES).map(" -> ".join)
    ),
    min_size=1,
    max_size=5,
)


@given(ASKED, STAGES, STAGES)
def test_what_was_asked_for_gives_the_same_pairs_again(asked, learner, source):
    try:
        pairs = tap_pairs(asked, learner, source)
    except KdsegError:
        return
    assert set(tap_pairs(asked, *sides(pairs))) == set(pairs)
