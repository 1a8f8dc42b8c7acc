"""How a dataset would read a folder that it is shown: what `kdseg init` writes into a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen(kw_only=True)
class Proposal:
    """The options with which a dataset reads a folder, and what they were concluded from."""

    options: Mapping[str, Any]
    """Of the dataset, as plain data of TOML, but for `root`: the folder that was shown."""
    notes: tuple[str, ...]
    """What was assumed, a sentence each: they become comments above the dataset's table."""
    class_notes: tuple[str, ...] = ()
    """What was assumed of the classes, likewise; a file of their names takes its place."""
    images: Mapping[str, int]
    """Images of each split."""
    sizes: Mapping[tuple[int, int], int]
    """Images of each height and width, of those that were looked at."""
    values: Mapping[str, float]
    """What the masks hold: of each number or colour its share of the pixels. Empty: there are no labels."""
