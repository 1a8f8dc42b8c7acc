"""Numbers and names as people read them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NOTHING = "–"
_SCORES = {"miou": "mIoU", "pixel_accuracy": "pixel accuracy", "iou": "IoU"}


def score_name(key: str) -> str:
    """Give a score's name as people write it."""
    return _SCORES.get(key, key.replace("_", " "))


def number(value: float | None) -> str:
    """Give a number in few digits; a dash for none."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value != 0 and not 1e-4 <= abs(value) < 1e6:  # noqa: PLR2004 (what would need many zeros)
        return f"{value:.3g}"
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")  # noqa: PLR2004


def score(value: float | None) -> str:
    """Give a score with the digits that tell two apart."""
    return NOTHING if value is None or not math.isfinite(value) else f"{value:.4f}"


def delta(value: float | None) -> str:
    """Give a difference with its sign."""
    return NOTHING if value is None or not math.isfinite(value) else f"{value:+.4f}".replace("-", "\N{MINUS SIGN}")


def interval(low: float | None, high: float | None) -> str:
    """Give an interval of differences; nothing where there is none."""
    return "" if low is None or high is None else f"[{delta(low)}, {delta(high)}]"


def duration(seconds: float | None) -> str:
    """Give a time as people tell it."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 60:  # noqa: PLR2004 (a minute)
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def count(value: object) -> str:
    """Give a count of things; thousands apart."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") if isinstance(value, int) else NOTHING


def parameters(value: object) -> str:
    """Give a count of parameters in millions."""
    return f"{value / 1e6:.3f} M" if isinstance(value, (int, float)) else NOTHING


def share(value: float) -> str:
    """Give a share in percent."""
    percent = 100 * value
    digits = f"{percent:.0f}" if percent >= 10 or percent == 0 else f"{percent:.1f}"  # noqa: PLR2004 (two digits)
    return f"{digits}\N{NO-BREAK SPACE}%"


def listed(words: Iterable[str]) -> str:
    """Join words as a sentence does."""
    *first, last = [*words] or [""]
    return f"{', '.join(first)} and {last}" if first else last
