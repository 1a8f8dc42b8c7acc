"""Keys of a recipe: written with dots, followed into a document, found in a text."""

from __future__ import annotations

import functools
import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Iterator

KeyPath = tuple[str, ...]
"""The keys that lead to a value; an item of a list has its index, as a string."""

DEEPEST = 16
"""How many tables and lists of a recipe may lie in each other."""
_LONGEST = 200
"""In how many lines of a statement its items are looked for."""
_PAIRS = {"[": "]", "{": "}"}
_TOKEN = re.compile(
    r'"""(?s:\\.|[^\\])*?"{3,5}|"""(?s:.*)|"(?:\\.|[^"\\\n])*"|'
    r"'''(?s:.*?)'{3,5}|'''(?s:.*)|'[^'\n]*'|#[^\n]*|[\[\]{}\n]"
)
"""What tells where a statement ends: strings (those that nobody closes too), comments, brackets and ends of lines."""


def split_key(dotted: str) -> KeyPath:
    """Read a key as TOML does: ``terms.mimic."a.b"`` has three parts.

    Raises:
        KdsegError: it is no TOML key.
    """
    try:
        inner: Any = tomllib.loads(f"{dotted} = 0")
    except ValueError:
        raise KdsegError(f"{dotted[:200]!r} is no dotted key, such as models.student.clip") from None
    path = []
    while isinstance(inner, dict) and len(inner) == 1:
        [(key, inner)] = inner.items()
        path.append(key)
    if len(path) > DEEPEST:
        raise KdsegError(f"a key of {len(path)} parts; none has more than {DEEPEST}")
    if inner != 0:
        raise KdsegError(f"{dotted[:200]!r} is no dotted key, such as models.student.clip")
    return tuple(path)


def join_key(path: KeyPath) -> str:
    """Write a key with dots, as `split_key` reads it."""
    return ".".join(map(key_text, path))


def key_text(part: str) -> str:
    """Write one part of a key as TOML: bare where it can be, else quoted."""
    return part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else string_text(part)


def string_text(text: str) -> str:
    """Write a string as TOML, on one line: with escapes for what people do not see."""
    escaped = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped)


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

    No parser at hand tells positions, so each statement is parsed by itself, a line longer each time: a key begins on
    the line with which it appears. Items beyond the first lines of a long list are not told apart from the list.
    """
    lines = _unix(text).split("\n")
    found: dict[KeyPath, int] = {}
    items: dict[KeyPath, int] = {}
    table: KeyPath = ()
    start = 0
    for number, closing in enumerate(_closings(_unix(text)), 1):
        header = lines[start].lstrip().startswith("[")
        document = _loads("\n".join([*lines[start:number], closing])) if number - start <= _LONGEST else {}
        if header and document:
            table = _table_path(document, items)
            found |= {table[:depth]: number for depth in range(1, len(table) + 1) if table[:depth] not in found}
        for path in () if header else _paths(document, table):
            found.setdefault(path, number)
        if not closing:
            start = number
    return found


def unfinished_line(text: str, broken: int) -> int:
    """Give the line on which the statement begins that makes a TOML text break on line `broken`."""
    closings = _closings(_unix(text))[: broken - 1]
    return 1 + next((number for number in range(len(closings), 0, -1) if not closings[number - 1]), 0)


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")


def _loads(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return {}


def _closings(text: str) -> list[str]:
    """Give for each line what would close all that is open at its end; nothing where a statement is whole."""
    closings: list[str] = []
    opened = ""
    for token in _TOKEN.finditer(text + "\n"):
        piece = token[0]
        if piece == "\n":
            closings.append(opened)
        elif piece in _PAIRS:
            opened = _PAIRS[piece] + opened
        elif piece in "]}":
            opened = opened[1:]
        elif piece[:3] in ('"""', "'''"):
            closings += [piece[:3] + opened] * piece.count("\n")
    return closings


def _table_path(header: dict[str, Any], items: dict[KeyPath, int]) -> KeyPath:
    """Give the path of the table that a header opens, and count it where it is one of an array of tables."""
    path: KeyPath = ()
    inner: Any = header
    while isinstance(inner, dict) and inner:
        [(key, inner)] = inner.items()
        path = (*path, key)
        if isinstance(inner, list):
            items[path] = items.get(path, -1) + 1
        if path in items:
            path = (*path, str(items[path]))
    return path


def _paths(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    """Give the path of every value below `value`, which lies at `path`; what nests too deeply is left out."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items if len(path) <= DEEPEST else ():
        yield (*path, str(key))
        yield from _paths(item, (*path, str(key)))
