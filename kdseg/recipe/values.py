"""Strict structuring of single values, and what is wrong with them in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, get_args

from kdseg.errors import KdsegError, did_you_mean
from kdseg.recipe.keys import KeyPath
from kdseg.recipe.layers import Text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


_WORDS = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}


_SHOWN = 200
"""Characters of a string that a message shows."""

Mistake = tuple[KeyPath, str]
"""A key and what is wrong there."""


class Mistakes(Exception):  # noqa: N818 (`load_recipe` gives each its place and raises ProblemsError)
    """What is wrong with a part of a document, each with its key below that part."""

    def __init__(self, found: Iterable[Mistake]) -> None:
        self.found = list(found)
        super().__init__(self.found)


def mistake(message: str, *path: str) -> Mistakes:
    """Make the exception for one mistake."""
    return Mistakes([(path, message)])


def expected(what: str, value: Any, *path: str) -> Mistakes:
    """Make the exception for a value of the wrong type."""
    return mistake(f"expected {what}, found {described(value)}", *path)


def scalar(value: Any, type_: type) -> Any:
    """Give a bool, an int, a float or a str as it is, but an int as a float where that is wanted.

    Raises:
        Mistakes: it is something else, or not finite.
    """
    accepted = int | float if type_ is float else type_
    if not isinstance(value, accepted) or (isinstance(value, bool) and type_ is not bool):
        raise expected(_WORDS[type_], value)
    try:
        plain = type_(value)
    except OverflowError:  # an int beyond all floats
        plain = math.inf
    if type_ is float and not math.isfinite(plain):
        raise expected("a finite number", value)
    return plain


def path_value(value: Any, _: Any) -> Path:
    """Give a path, absolute.

    Raises:
        Mistakes: the value is no string, or empty.
    """
    if not isinstance(value, Text) or not value:
        raise expected("a path, as a string", value)
    try:
        return value.as_path()
    except KdsegError as error:
        raise mistake(str(error)) from None


def literal(value: Any, hint: Any) -> Any:
    """Give one of the values of a Literal.

    Raises:
        Mistakes: the value is none of them; the integer 1 is neither true nor 1.0.
    """
    choices = get_args(hint)
    plain = str(value) if isinstance(value, str) else value
    if any(type(plain) is type(choice) and plain == choice for choice in choices):
        return plain
    near = did_you_mean(plain, [choice for choice in choices if isinstance(choice, str)]) if plain is not value else ""
    raise mistake(f"expected {' or '.join(map(_shown, choices))}, found {described(value)}{near}")


def unknown(key: str, keys: Iterable[str], owner: str) -> str:
    """Say that a key is unknown, and what may be meant."""
    text = f"unknown key for {owner}" if owner else "unknown key"
    return text + (did_you_mean(key, keys) or f"; known here: {', '.join(keys) or 'none'}")


def described(value: Any) -> str:
    """Say what a TOML value is, and a scalar itself."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return _shown(value)
    kinds = {int: "the integer", float: "the number", str: "the string"}
    word = next((word for type_, word in kinds.items() if isinstance(value, type_)), "the date or time")
    return f"{word} {_shown(value)}"


def _shown(value: Any) -> str:
    """Write a scalar as a person does."""
    if isinstance(value, str):
        return repr(str(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]}…")
    return str(value).lower() if isinstance(value, bool) else str(value)
