"""What the numbers or colours in masks mean, as the options say it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from kdseg.data.samples import IGNORE_INDEX
from kdseg.errors import did_you_mean
from kdseg.mask_values.colours import hex_of, packed, read_colour

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IGNORE = "ignore"
"""What `values` calls pixels that count nowhere."""
MOST_CLASSES = 254
LARGEST = 2**16 - 1


@frozen
class Meaning:
    """The train index, or `IGNORE_INDEX`, of each value that masks may hold."""

    indices: Mapping[int, int]
    """By the number, or by the colour as `packed`."""
    colours: bool
    """Whether colours are meant."""

    def shown(self, value: int) -> str:
        """Write a value as recipes do."""
        return hex_of(value) if self.colours else str(value)


def meaning_of(classes: Sequence[str], values: Mapping[str, str], *, reduce_zero_label: bool) -> Meaning:
    """Say what masks mean.

    Args:
        classes: all, in the order of their train indices.
        values: what each number or colour means; where none is given, numbers are train indices.
        reduce_zero_label: numbers are one more than train indices, and 0 is ignored.
    """
    if not values:
        first = int(reduce_zero_label)
        indices = {index + first: index for index in range(len(classes))} | {IGNORE_INDEX: IGNORE_INDEX}
        return Meaning({0: IGNORE_INDEX} | indices if reduce_zero_label else indices, colours=False)
    colours = any(key.startswith("#") for key in values)
    return Meaning(
        {
            packed(read_colour(key)) if colours else int(key): IGNORE_INDEX if name == IGNORE else classes.index(name)
            for key, name in values.items()
        },
        colours,
    )


def names_of(classes: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """Give the classes' names: as listed, or else in the order in which `values` first names them."""
    return tuple(classes) or tuple(dict.fromkeys(name for name in values.values() if name != IGNORE))


def refuse_values(classes: Sequence[str], values: Mapping[str, str], *, reduce_zero_label: bool) -> None:
    """Refuse a map that means two things, or nothing.

    Raises:
        ValueError: telling the value, and what would be right.
    """
    if values and reduce_zero_label:
        raise ValueError('reduce_zero_label and values exclude each other; write 0 = "ignore", 1 = the first class, …')
    colours = [key for key in values if key.startswith("#")]
    if colours and len(colours) < len(values):
        number = next(key for key in values if not key.startswith("#"))
        raise ValueError(f"holds colours ({colours[0]}) and numbers ({number}); masks have one of the two")
    seen: dict[int, str] = {}
    for key, name in values.items():
        value = packed(read_colour(key)) if colours else _number(key)
        if value in seen:
            raise ValueError(f"lists {key} twice, as {seen[value]!r} and as {name!r}; keep one")
        seen[value] = name
        if classes and name != IGNORE and name not in classes:
            hint = did_you_mean(name, (*classes, IGNORE)) or f'; the classes are {", ".join(classes)}, and "ignore"'
            raise ValueError(f"{key} is {name!r}, which is no class{hint}")
    if values and set(values.values()) == {IGNORE}:
        raise ValueError("ignores every value; name at least one class")
    refuse_names(names_of(classes, values))


def refuse_names(names: Sequence[str]) -> None:
    """Refuse names of classes that cannot be told apart.

    Raises:
        ValueError: telling the name.
    """
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the class {name!r} is listed twice; each has a name of its own")
        if name == IGNORE:
            raise ValueError(f"no class is called {IGNORE!r}: in `values` that means pixels that count nowhere")
        if not name.strip() or not name.isprintable():
            raise ValueError(f"{name!r} is no name of a class")
    if len(names) > MOST_CLASSES:
        raise ValueError(f"there are {len(names)} classes; {MOST_CLASSES} are the most")


def _number(key: str) -> int:
    if not re.fullmatch(r"\d{1,5}", key) or int(key) > LARGEST:
        raise ValueError(f'{key!r} is no value of a mask; write a number from 0 to {LARGEST}, or a colour as "#804080"')
    return int(key)
