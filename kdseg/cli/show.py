"""`kdseg show KIND NAME`: one component's help, options and origin."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdseg.cli._tables import print_rows
from kdseg.components import KINDS

if TYPE_CHECKING:
    from kdseg.options import Option
    from kdseg.registry import Entry


*_FIRST, _LAST = KINDS


@click.command(
    short_help="One component: help, options, origin.",
    help="Show one component: its help, its options with types and defaults, and where it comes from.\n\n"
    f"KIND is {', '.join(_FIRST)} or {_LAST}; `kdseg list-plugins` lists the names.",
)
@click.argument("kind")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def command(kind: str, name: str, as_json: bool) -> None:
    """Show one component."""
    from kdseg.options import component_options
    from kdseg.plugins import load_plugins

    entry = load_plugins().registry.find(kind, name)
    options = component_options(entry.cls)
    if as_json:
        click.echo(json.dumps(_as_data(entry, options), indent=2))
    else:
        _print(entry, options)


def _as_data(entry: Entry, options: tuple[Option, ...]) -> dict[str, Any]:
    """Give everything as plain data."""
    from kdseg.options import type_text

    return {
        "kind": entry.kind.name,
        "name": entry.name,
        "qualified": entry.qualified,
        "plugin": entry.plugin,
        "distribution": entry.distribution,
        "version": entry.version,
        "requires": list(entry.cls.requires),
        "help": inspect.cleandoc(entry.cls.__doc__ or ""),
        "options": [
            {"name": option.name, "type": type_text(option.type), "help": option.help, "required": option.required}
            | ({} if option.required else {"default": _plain(option.default)})
            for option in options
        ],
    } | _of_kind(entry)


def _of_kind(entry: Entry) -> dict[str, Any]:
    """Give what only components of its kind have."""
    from kdseg.components import Exporter, Metric

    if issubclass(entry.cls, Metric):
        return {"scores": list(entry.cls.scores)}
    if issubclass(entry.cls, Exporter):
        return {"suffix": entry.cls.suffix, "precisions": list(entry.cls.precisions), "cannot": {**entry.cls.cannot}}
    return {}


def _print(entry: Entry, options: tuple[Option, ...]) -> None:
    """Print everything for people."""
    from kdseg.components import Exporter, Metric
    from kdseg.options import type_text

    click.echo(f"{entry.kind.name} {entry.qualified} (plugin {entry.plugin} of {entry.distribution} {entry.version})")
    if entry.cls.requires:
        click.echo(f"needs {', '.join(entry.cls.requires)}")
    click.echo(f"\n{inspect.cleandoc(entry.cls.__doc__ or '')}\n")
    if issubclass(entry.cls, Metric):
        click.echo(f"scores to judge by: {', '.join(f'{entry.name}/{score}' for score in entry.cls.scores)}\n")
    if issubclass(entry.cls, Exporter):
        click.echo(f"writes {entry.cls.suffix} in {', '.join(entry.cls.precisions)}")
        for precision, why in entry.cls.cannot.items():
            click.echo(f"not in {precision}: {why}")
        click.echo()
    rows = [
        (
            option.name,
            type_text(option.type),
            "required" if option.required else f"default {_toml(_plain(option.default))}",
            option.help,
        )
        for option in options
    ]
    print_rows("options", rows or [("none", "", "", "")])


def _plain(value: Any) -> Any:
    """Give a default as a recipe would hold it; None stays None."""
    from kdseg.components import Component
    from kdseg.options import component_options

    if isinstance(value, Component):
        options = {option.name: getattr(value, option.name) for option in component_options(type(value))}
        return {"use": value.name} | _plain({name: item for name, item in options.items() if item is not None})
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _toml(value: Any) -> str:
    """Give a plain value as people write it in a recipe."""
    if value is None:
        return "none"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
