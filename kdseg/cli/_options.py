"""Options that several verbs share."""

from __future__ import annotations

import click

settings_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value of the recipe: a dotted key and a TOML value, as train.epochs=2. May be given again.",
)
