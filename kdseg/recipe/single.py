"""A component by itself, outside any recipe: to plain data and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdseg.errors import KdsegError, Problem, ProblemsError
from kdseg.recipe.keys import join_key
from kdseg.recipe.layers import excesses, parse_setting, remember, shown_setting
from kdseg.recipe.merge import merge, normalise
from kdseg.recipe.save import plain_value
from kdseg.recipe.structure import Structurer
from kdseg.recipe.values import Mistakes
from kdseg.registry import check_requirements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


def component_from_settings(name: str, settings: Sequence[str], kind: Kind, registry: Registry) -> Component:
    """Make a component of its name and what each `--set` says of its options: ``"radius=3"``.

    Raises:
        KdsegError: there is no such component, or what it requires is not installed.
        ProblemsError: with all settings that do not fit.
    """
    check_requirements(registry.find(kind.name, name))
    document: dict[str, Any] = {}
    problems = []
    for setting in settings:
        try:
            path, value = parse_setting(setting, "OPTION=VALUE, where the value is TOML")
        except KdsegError as error:
            problems.append(Problem(where=shown_setting(setting), message=str(error)))
            continue
        if path[0] == "use":
            text = f"is no option: the {kind.name} is {name!r} already"
            problems.append(Problem(where=shown_setting(setting), message=text))
            continue
        for part in reversed(path):
            value = {part: value}
        document = merge(document, value)
    if problems:
        raise ProblemsError(problems)
    remembered = normalise(remember({**document, "use": name}, Path.cwd()), kind.base, None, registry)
    try:
        return Structurer(registry).component(remembered, kind.base)
    except Mistakes as mistakes:
        found = [Problem(where="--set", key=join_key(path), message=text) for path, text in mistakes.found]
        raise ProblemsError(found) from None
