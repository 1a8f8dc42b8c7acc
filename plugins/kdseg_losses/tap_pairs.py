"""Which taps a loss compares: what a recipe says, read against the stages of both networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Sequence

WORDS = ("encoder", "bottleneck", "decoder", "all")
ARROW = "->"
TAPS_HELP = (
    'pairs such as "encoder.3 -> encoder.3", learner first; one name for both; or the words encoder, bottleneck, '
    "decoder and all, for the stages that both networks have"
)
"""The help of every option `taps`."""


def tap_pairs(asked: Sequence[str], learner: Sequence[str], source: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Give the pairs of taps, learner's and source's, that a recipe asks for.

    Args:
        asked: pairs, names and words, as `TAPS_HELP` says.
        learner: the stage names that the learner's network offers.
        source: likewise the source's.

    Raises:
        KdsegError: for a word that no common stage answers to, a pair that is none, or nothing at all. Whether a tap
            that is no stage exists is for the engine to see.
    """
    pairs: dict[tuple[str, str], None] = {}
    for text in asked:
        if text in WORDS:
            pairs |= dict.fromkeys((name, name) for name in _stages(text, learner, source))
            continue
        parts = [part.strip() for part in text.split(ARROW)]
        if not 1 <= len(parts) <= 2 or not all(parts):  # noqa: PLR2004 (learner and source)
            raise KdsegError(f'taps: {text!r} is no pair of taps; write "encoder.3 {ARROW} encoder.3", learner first')
        pairs[parts[0], parts[-1]] = None
    if not pairs:
        raise KdsegError("taps: none are named; name a pair, or one of " + ", ".join(WORDS))
    return tuple(pairs)


def sides(pairs: Sequence[tuple[str, str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the taps of the learner and those of the source, each once, as `Loss.taps` does."""
    return tuple(dict.fromkeys(one for one, _ in pairs)), tuple(dict.fromkeys(other for _, other in pairs))


def _stages(word: str, learner: Sequence[str], source: Sequence[str]) -> list[str]:
    common = [name for name in learner if name in source and (word in ("all", name.partition(".")[0]))]
    if not common:
        offers = [", ".join(stages) or "no stages" for stages in (learner, source)]
        raise KdsegError(
            f"taps: no stage called {word!r} is common to both; the learner has {offers[0]}, the source {offers[1]}; "
            f'name a pair: "TAP {ARROW} TAP"'
        )
    return common
