"""Recipes as text with their parts marked, and what differs between several."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LONGEST = 20_000
"""Characters of a recipe whose parts are marked; a longer one is shown plain."""
_PART = re.compile(
    r"""(?P<comment>\#[^\n]*)
    |(?P<head>^[ \t]*\[\[?[^\n]*\]\]?[ \t]*$)
    |(?P<text>"(?:\\.|[^"\\\n])*"|'[^'\n]*')
    |(?P<key>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*(?=[ \t]*=))
    |(?P<number>\b(?:true|false|-?\d[\d_.eE+-]*)\b)""",
    re.VERBOSE | re.MULTILINE,
)


def marked(recipe: str) -> list[tuple[str, str]]:
    """Give a recipe in pieces, each with what sort of text it is: head, key, text, number, comment or nothing."""
    if len(recipe) > LONGEST:
        return [("", recipe)]
    pieces, end = [], 0
    for part in _PART.finditer(recipe):
        if part.start() > end:
            pieces.append(("", recipe[end : part.start()]))
        pieces.append((part.lastgroup or "", part[0]))
        end = part.end()
    return [*pieces, ("", recipe[end:])]


def differing(recipes: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str | None]]]:
    """Give the keys in which recipes differ, each with its value in every recipe; None where a recipe lacks it."""
    flat = [dict(_flat(recipe)) for recipe in recipes]
    keys = dict.fromkeys(key for recipe in flat for key in recipe)
    found = [(key, [recipe.get(key) for recipe in flat]) for key in keys]
    return [(key, values) for key, values in found if len(set(values)) > 1]


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flat(item, f"{key}.{name}" if key else str(name))
    else:
        yield key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
