"""The keys of a recipe's tables, read off the classes that describe them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, get_args

from attrs import Factory, fields

from kdseg.components import Component
from kdseg.options import Option, component_options, resolved_hint

if TYPE_CHECKING:
    from collections.abc import Mapping


@functools.cache
def keys_of(cls: type[Any]) -> Mapping[str, Option]:
    """Give the keys of a table, which a class of this module or a component describes."""
    if issubclass(cls, Component):
        return {option.name: option for option in component_options(cls)}
    keys = {}
    for attribute in fields(cls):
        hint, text = get_args(resolved_hint(cls, attribute.name))
        key = attribute.metadata.get("key", attribute.name)
        keys[key] = Option(name=attribute.name, type=hint, help=text, default=_default(attribute.default))
    return keys


def _default(default: Any) -> Any:
    """Give a field's default; None where it is another field's value."""
    if not isinstance(default, Factory):  # type: ignore[arg-type] # attrs types Factory as a function
        return default
    return None if default.takes_self else default.factory()
