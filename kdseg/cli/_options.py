"""Options that several verbs share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kdseg.errors import KdsegError
from kdseg.recipe.validators import LARGEST_WINDOW, SCALES, SMALLEST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = TypeVar("Command", bound=Callable[..., Any])

settings_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value of the recipe: a dotted key and a TOML value, as train.epochs=2. May be given again.",
)


which_option = click.option(
    "--which", type=click.Choice(["best", "last"]), help="Which weights of a run. The best, if left out."
)


def refuse_for_file(file: Path, **options: Any) -> None:
    """Refuse options that an exported file cannot follow, by name; None was not given.

    Raises:
        KdsegError: naming the first.
    """
    for name, value in options.items():
        if value is not None:
            raise KdsegError(
                f"--{name.replace('_', '-')} {value}: {file} is an exported file, which runs as it was written"
            )


def window_size(text: str) -> tuple[int, int]:
    """Read height and width of a window: ``512x1024``."""
    found = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    size = (int(found[1]), int(found[2])) if found else (0, 0)
    if min(size) < SMALLEST or max(size) > LARGEST_WINDOW:
        raise click.BadParameter(f"{text!r} is no height and width, {SMALLEST} to {LARGEST_WINDOW}, as 512x1024")
    return size


def _scales(text: str) -> tuple[float, ...]:
    """Read scales of an image: ``0.75,1,1.25``."""
    words = text.split(",")
    smallest, largest = SCALES
    if not all(re.fullmatch(r"\d{1,3}(\.\d+)?|\.\d+", word) and smallest <= float(word) <= largest for word in words):
        raise click.BadParameter(
            f"{text!r} are no numbers from {smallest:g} to {largest:g} with commas between, as 0.75,1,1.25"
        )
    return tuple(map(float, words))


def view_options(command: Command) -> Command:
    """Add what says how an image passes through a network; what is left out comes as None."""
    for option in (
        click.option("--flip/--no-flip", default=None, help="See each image mirrored as well."),
        click.option(
            "--scales", type=_scales, metavar="S,S,…", help="Sizes at which to see an image, as shares of its own."
        ),
        click.option(
            "--overlap",
            type=click.FloatRange(0, 1, max_open=True),
            help="The share of a window that the next one sees too, at least. 0.33, if nothing else is said.",
        ),
        click.option(
            "--window",
            type=window_size,
            metavar="HEIGHTxWIDTH",
            help="What to see at once; larger than the image: all of it.",
        ),
    ):
        command = option(command)
    return command
