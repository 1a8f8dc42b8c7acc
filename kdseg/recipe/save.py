"""Writing: a recipe as plain data, and plain data as TOML."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import toml

from kdseg.components import Component
from kdseg.recipe.keys import key_text, string_text
from kdseg.recipe.schema_keys import keys_of
from kdseg.recipe.schema_train import ByName, Data

if TYPE_CHECKING:
    from kdseg.recipe.schema import Recipe
    from kdseg.registry import Registry


def save_recipe(recipe: Recipe, registry: Registry, path: Path) -> None:
    """Write a recipe such that `load_recipe` gives an equal one, wherever it is read.

    Raises:
        ValueError: what would be read back differs.
        TypeError: a component holds something that is no plain data.
    """
    path.write_bytes(dumps(plain(recipe, registry)).encode())


def plain(recipe: Recipe, registry: Registry) -> dict[str, Any]:
    """Give a recipe as plain TOML data: every default, absolute paths, qualified names of components.

    What is None is left out: TOML has no word for it.
    """
    document: dict[str, Any] = plain_value(recipe, registry)
    return document


def plain_value(value: Any, registry: Registry) -> Any:  # noqa: PLR0911 (one a type)
    """Give a part of a recipe as plain TOML data."""
    if isinstance(value, ByName):
        return {"use": value.use, **value.options}
    if isinstance(value, Component):
        return {"use": registry.entry_of(type(value)).qualified, **_items(value, registry)}
    if isinstance(value, Data):
        return _data(value, registry)
    if attrs.has(type(value)):
        return _items(value, registry)
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, Mapping):
        return {key: plain_value(item, registry) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain_value(item, registry) for item in value]
    return value


def _items(table: Any, registry: Registry) -> dict[str, Any]:
    """Give the keys of a table that are not None."""
    values = {key: getattr(table, option.name) for key, option in keys_of(table.__class__).items()}
    return {key: plain_value(value, registry) for key, value in values.items() if value is not None}


def _data(data: Data, registry: Registry) -> dict[str, Any]:
    """Give the data with those options of each split that differ from the dataset's."""
    table = _items(data, registry)
    for split in ("train", "val"):
        differing = {key: value for key, value in table.pop(split).items() if value != table["dataset"].get(key)}
        if differing:
            table[split] = differing
    return table


def dumps(document: Mapping[str, Any]) -> str:
    """Write plain data (tables, lists, strings, numbers, booleans) as TOML.

    Tables below the second level, and all lists, stand on one line.

    Raises:
        ValueError: what would be read back differs.
        TypeError: the document holds something else.
    """
    text = toml.dumps(_copy(document), encoder=_Encoder())
    if _exact(tomllib.loads(text)) != _exact(document):
        raise ValueError("this document does not survive being written as TOML and read back")
    return text


def _copy(value: Any) -> Any:
    """Copy plain data, so that no table occurs twice in it: toml would take that for a circle."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"keys must be strings: {list(value)}")
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    if type(value) not in (bool, int, float, str):
        raise TypeError(f"{value!r} is no plain data")
    return value


def _exact(value: Any) -> str:
    """Give a text that is equal for equal plain data alone: 1, 1.0 and true differ."""
    return json.dumps(value, sort_keys=True)


class _Encoder(toml.TomlEncoder):  # type: ignore[type-arg] # generic in its stubs alone
    """The encoder of toml with all that it writes by itself replaced: strings, keys, lists and inline tables."""

    def dump_sections(self, o: dict[str, Any], sup: str) -> tuple[str, dict[str, Any]]:
        """Give the lines of one table, and the tables below it that have headers of their own."""
        if not sup:
            self.top = {key_text(key) for key in o}
        headed = {
            key_text(key): value for key, value in o.items() if isinstance(value, dict) and (not sup or sup in self.top)
        }
        lines = [f"{key_text(key)} = {_value(value)}\n" for key, value in o.items() if key_text(key) not in headed]
        return "".join(lines), headed


def _value(value: Any) -> str:
    """Write a value on one line."""
    if isinstance(value, dict):
        items = ", ".join(f"{key_text(key)} = {_value(item)}" for key, item in value.items())
        return f"{{ {items} }}" if items else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return string_text(value)
    return str(value).lower() if isinstance(value, bool) else repr(value)
