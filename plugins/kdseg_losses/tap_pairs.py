"""Which taps a loss compares: what a recipe says, read against the stages of both networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Sequence

Pairs = tuple[tuple[str, str], ...]

WORDS = ("encoder", "bottleneck", "decoder", "all")
ARROW = "->"
TAPS_HELP = (
    'the taps to compare: pairs such as "encoder.3 -> encoder.3", learner first; one name for both; or the words '
    "encoder, bottleneck, decoder and all, for the stages that both networks have"
)
"""The help of every option `between`"""


def tap_pairs(asked: Sequence[str], learner: Sequence[str], source: Sequence[str]) -> Pairs:
    """Give the pairs of taps, learner's and source's, that a recipe asks for.

    The names that `sides` makes of the pairs, in place of all stages, give the same pairs, in an order of their own: so
    a loss finds in `build` what it asked for in `taps`.

    Args:
        asked: pairs, names and words, as `TAPS_HELP` says.
        learner: the stage names that the learner's network offers.
        source: likewise the source's.

    Raises:
        KdsegError: for a word that no common stage answers to, a pair that is none, or nothing at all; and for a word
            beside pairs that name, crosswise, what it would take for a stage. Whether a tap that is no stage exists is
            for the engine to see.
    """
    pairs = _resolved(asked, learner, source)
    for name, _ in set(_resolved(asked, *sides(pairs))) - set(pairs):
        raise KdsegError(
            f"between: {name!r} is named for both networks, in different pairs, and is no stage of both: beside it, a "
            "word could mean it too; name pairs in place of words"
        )
    return pairs


def sides(pairs: Sequence[tuple[str, str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the taps of the learner and those of the source, each once, as `Loss.taps` does."""
    return tuple(dict.fromkeys(one for one, _ in pairs)), tuple(dict.fromkeys(other for _, other in pairs))


def _resolved(asked: Sequence[str], learner: Sequence[str], source: Sequence[str]) -> Pairs:
    pairs: list[tuple[str, str]] = []
    for text in asked:
        pairs += [(name, name) for name in _stages(text, learner, source)] if text in WORDS else [_names(text)]
    if not pairs:
        raise KdsegError("between: none are named; name a pair, or one of " + ", ".join(WORDS))
    return tuple(dict.fromkeys(pairs))


def _names(text: str) -> tuple[str, str]:
    """Give the learner's and the source's tap of a pair, or of one name for both."""
    parts = [part.strip() for part in text.split(ARROW)]
    if len(parts) > 2 or not all(parts):  # noqa: PLR2004 (learner and source)
        raise KdsegError(f'between: {text!r} is no pair of taps; write "encoder.3 {ARROW} encoder.3", learner first')
    return parts[0], parts[-1]


def _stages(word: str, learner: Sequence[str], source: Sequence[str]) -> list[str]:
    common = [name for name in learner if name in source and (word in ("all", name.partition(".")[0]))]
    if not common:
        offers = [", ".join(stages) or "no stages" for stages in (learner, source)]
        raise KdsegError(
            f"between: no stage called {word!r} is common to both; the learner has {offers[0]}, the source "
            f'{offers[1]}; name a pair: "TAP {ARROW} TAP"'
        )
    return common
