"""A component by itself, outside any recipe: to plain data and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdseg.errors import KdsegError
from kdseg.recipe.keys import join_key
from kdseg.recipe.layers import excesses, remember
from kdseg.recipe.merge import normalise
from kdseg.recipe.save import plain_value
from kdseg.recipe.structure import Structurer
from kdseg.recipe.values import Mistakes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kdseg.components import Component, Kind
    from kdseg.registry import Registry


def plain_component(component: Component, registry: Registry) -> dict[str, Any]:
    """Give a component as plain data: its qualified name under `use`, and its options."""
    document: dict[str, Any] = plain_value(component, registry)
    return document


def component_from_plain(document: Mapping[str, Any], kind: Kind, registry: Registry) -> Component:
    """Make a component of what `plain_component` gave.

    Raises:
        KdsegError: with all that does not fit.
    """
    for path, message in excesses(document):
        raise KdsegError(f"{join_key(path)}: {message}")
    remembered = normalise(remember(dict(document), Path.cwd()), kind.base, None, registry)
    try:
        return Structurer(registry).component(remembered, kind.base)
    except Mistakes as mistakes:
        raise KdsegError("\n".join(f"{join_key(path)}: {text}" for path, text in mistakes.found)) from None
