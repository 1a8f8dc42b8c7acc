"""`kdseg list-plugins`: what recipes can name, where it comes from, and which plugins have problems."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from kdseg.cli._tables import print_rows

if TYPE_CHECKING:
    from kdseg.plugins import PluginReport, Plugins
    from kdseg.registry import Entry


@click.command(short_help="What recipes can name, by plugin.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def command(as_json: bool) -> None:
    """List the components that recipes can name, with the plugin, distribution and version that each comes from.

    Plugins that failed, have problems or are disabled (KDSEG_DISABLE_PLUGINS) follow, with the cause.
    """
    from kdseg.plugins import load_plugins

    plugins = load_plugins()
    if as_json:
        click.echo(json.dumps(_as_data(plugins), indent=2))
    else:
        _print(plugins)


def _as_data(plugins: Plugins) -> dict[str, Any]:
    """Give everything as plain data."""
    from kdseg.components import KINDS

    return {
        "kinds": {kind: [_entry_data(entry) for entry in plugins.registry.of_kind(kind)] for kind in KINDS},
        "plugins": [_report_data(report) for report in plugins.reports],
    }


def _entry_data(entry: Entry) -> dict[str, str]:
    """Give one component as plain data."""
    return {
        "name": entry.name,
        "qualified": entry.qualified,
        "plugin": entry.plugin,
        "distribution": entry.distribution,
        "version": entry.version,
        "summary": entry.summary,
    }


def _report_data(report: PluginReport) -> dict[str, Any]:
    """Give one plugin as plain data."""
    return {
        "name": report.name,
        "distribution": report.distribution,
        "version": report.version,
        "status": report.status,
        "problems": list(report.problems),
        "components": [f"{entry.kind.name} {entry.qualified}" for entry in report.components],
    }


def _print(plugins: Plugins) -> None:
    """Print everything for people."""
    from kdseg.components import KINDS

    for kind in KINDS.values():
        entries = plugins.registry.of_kind(kind.name)
        names = [entry.name for entry in entries]
        rows = [
            (
                entry.name if names.count(entry.name) == 1 else entry.qualified,
                f"{entry.distribution} {entry.version} ({entry.plugin})",
                entry.summary,
            )
            for entry in entries
        ]
        print_rows(kind.plural, rows or [("none", "", "")])
        click.echo()
    for report in plugins.reports:
        if report.problems:
            where = f"{report.distribution}:{report.name} {report.version}".strip(": ")
            click.secho(f"plugin {where}: {report.status}", fg="red" if report.status == "failed" else "yellow")
            for problem in report.problems:
                click.echo(f"  {problem}")
