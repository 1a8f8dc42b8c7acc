"""The card in an exported file, as text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kdseg import KdsegError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEY = "kdseg"
"""The name of the card wherever a format keeps such things by name."""


def card_text(card: Mapping[str, Any]) -> str:
    """Give a card as JSON, in ASCII, which every format keeps as it is."""
    return json.dumps(dict(card))


def card_of_text(file: Path, text: str) -> dict[str, Any]:
    """Give the card that a text says.

    Raises:
        KdsegError: it is damaged.
    """
    try:
        card = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise KdsegError(f"{file}: damaged: what it carries of kdseg's is no JSON: {error}") from error
    if not isinstance(card, dict):
        raise KdsegError(f"{file}: damaged: what it carries of kdseg's is no table")
    return card
