"""From a merged document to the classes of the schema and of the components, strictly."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import attrs
from cattrs import Converter

from kdseg.components import Component, Dataset, kind_of
from kdseg.errors import KdsegError, did_you_mean
from kdseg.options import type_text
from kdseg.plugins import check_requirements
from kdseg.recipe.curves import Curve, Points
from kdseg.recipe.keys import KeyPath
from kdseg.recipe.layers import Text
from kdseg.recipe.merge import item_hints, merge, normalise
from kdseg.recipe.schema import ByName, Data, Participant, Recipe, Term, keys_of, nature_of

if TYPE_CHECKING:
    from kdseg.registry import Registry

Found = tuple[KeyPath, str]
"""A key and what is wrong there."""


class Mistakes(Exception):  # noqa: N818 (never leaves this package: `load_recipe` places them and raises ProblemsError)
    """What is wrong with a part of a document, each at its key below that part."""

    def __init__(self, found: Iterable[Found]) -> None:
        self.found = list(found)
        super().__init__(self.found)


def mistake(message: str, *path: str) -> Mistakes:
    """Make the exception for a single mistake."""
    return Mistakes([(path, message)])


def structure(document: dict[str, Any], registry: Registry) -> Recipe:
    """Make the recipe that a merged and normalised document says.

    Nothing is converted but an integer where a number is wanted.

    Raises:
        Mistakes: with all that is wrong, each at its key.
    """
    return _converter(registry).structure(document, Recipe)


def _converter(registry: Registry) -> Converter:
    """Make a converter with a hook for every type that a recipe may hold."""
    converter = Converter(detailed_validation=False)
    for type_, hook in ((bool, _bool), (int, _int), (float, _float), (str, _str), (Path, _path), (Any, _plain)): ...
