"""Keys of a recipe: written with dots, followed into a document, found in a text."""

from __future__ import annotations

import functools
import itertools
import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Iterator

KeyPath = tuple[str, ...]
"""The keys that lead to a value; an item of a list has its index, as a string."""

_DEEPEST = 6
"""How many unclosed brackets a line may end in."""


def split_key(dotted: str) -> KeyPath:
    """Read a key as TOML does: ``terms.mimic."a.b"`` has three parts.

    Raises:
        KdsegError: it is no TOML key.
    """
    try:
        inner: Any = tomllib.loads(f"{dotted} = 0")
    except ValueError:
        raise KdsegError(f"{dotted!r} is no dotted key, such as models.student.clip") from None
    path = []
    while isinstance(inner, dict) and len(inner) == 1:
        [(key, inner)] = inner.items()
        path.append(key)
    if inner != 0:
        raise KdsegError(f"{dotted!r} is no dotted key, such as models.student.clip")
    return tuple(path)


def join_key(path: KeyPath) -> str:
    """Write a key with dots, as `split_key` reads it."""
    return ".".join(map(key_text, path))


def key_text(part: str) -> str:
    """Write one part of a key as TOML: bare where it can be, else quoted."""
    return part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else string_text(part)


def string_text(text: str) -> str:
    """Write a string as TOML, on one line: JSON's escapes, and the one control character that JSON leaves as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def existing(document: Any, path: KeyPath) -> KeyPath:
    """Give the longest beginning of `path` that `document` has."""
    for depth, key in enumerate(path):
        if isinstance(document, dict) and key in document:
            document = document[key]
        elif isinstance(document, list) and key.isdecimal() and int(key) < len(document):
            document = document[int(key)]
        else:
            return path[:depth]
    return path


@functools.lru_cache(maxsize=16)
def key_lines(text: str) -> dict[KeyPath, int]:
    """Find the line, from 1, on which each key and each list item of a TOML text begins.

    No parser at hand tells positions, so beginnings of the text are parsed, a line longer each time: a key begins on
    the line with which it appears.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    found: dict[KeyPath, int] = {}
    for number in range(1, len(lines) + 1):
        for path in _paths(_parse_beginning("\n".join(lines[:number]))):
            found.setdefault(path, number)
    return found


def unfinished_line(text: str) -> int:
    """Give the line on which the statement begins that keeps a TOML text from being parsed."""
    lines = text.replace("\r\n", "\n").split("\n")
    return 1 + next((n for n in range(len(lines) - 1, 0, -1) if _loads("\n".join(lines[:n])) is not None), 0)


def _loads(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except ValueError:
        return None


def _parse_beginning(text: str) -> dict[str, Any]:
    """Parse a text that may end inside a value, by closing it in every way until one fits."""
    for depth in range(_DEEPEST + 1):
        for brackets in itertools.product("]}", repeat=depth):
            for quotes in ("", '"""', "'''"):
                document = _loads(f"{text}\n{quotes}{''.join(brackets)}")
                if document is not None:
                    return document
    return {}


def _paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Give the path of every value below `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, str(key))
        yield from _paths(item, (*path, str(key)))
