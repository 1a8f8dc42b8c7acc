"""What masks mean, as recipes say it: the options that datasets of somebody's own images share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from attrs import field, frozen

from kdseg.components import Dataset
from kdseg.data.samples import ClassTable
from kdseg.errors import KdsegError, did_you_mean
from kdseg.mask_values.colours import fresh_colours, read_colour
from kdseg.mask_values.meanings import meaning_of, names_of, refuse_names, refuse_values

if TYPE_CHECKING:
    from typing import Any

    from attrs import Attribute

    from kdseg.mask_values.masks import ValueReader


def _names(_: Any, __: Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    refuse_names(value)


def _values(options: ByValues, _: Attribute[dict[str, str]], value: dict[str, str]) -> None:
    refuse_values(options.classes, value, reduce_zero_label=options.reduce_zero_label)


def _colours(options: ByValues, _: Attribute[dict[str, str]], value: dict[str, str]) -> None:
    _known(options, value)
    seen: dict[tuple[int, int, int], str] = {}
    for name, text in value.items():
        first = seen.setdefault(read_colour(text), name)
        if first != name:
            raise ValueError(f"{text} is the colour of {first!r} and of {name!r}; each class has one of its own")


def _categories(options: ByValues, _: Attribute[dict[str, str]], value: dict[str, str]) -> None:
    _known(options, value)
    lacking = [name for name in options.names if name not in value]
    if value and lacking:
        raise ValueError(f"the class {lacking[0]!r} has no category; give all classes one, or none")


def _known(options: ByValues, value: dict[str, str]) -> None:
    for name in value:
        if name not in options.names:
            raise ValueError(f"no class is called {name!r}{did_you_mean(name, options.names)}")


@frozen(kw_only=True)
class ByValues(Dataset):
    """A dataset whose masks hold numbers or colours, of which its options say what each means."""

    class_mend: ClassVar[str] = ""
    """What else, beside its options, would say the classes, for errors."""

    classes: Annotated[tuple[str, ...], "the names, in the order of their indices; default: as `values` names them"] = (
        field(default=(), validator=_names)
    )
    values: Annotated[
        dict[str, str],
        'what numbers or colours in masks mean: { 0 = "road", 255 = "ignore" }, { "#804080" = "road" }; default: '
        "numbers are the classes' indices, and 255 is ignored",
    ] = field(factory=dict, validator=_values)
    reduce_zero_label: Annotated[bool, "without values: masks count the classes from 1, and 0 is ignored"] = False
    others: Annotated[
        Literal["refuse", "ignore"], "a value that no class has: refuse the mask, or ignore the pixels"
    ] = "refuse"
    colours: Annotated[
        dict[str, str], 'of classes, in pictures: { road = "#804080" }; default: as in values, or any'
    ] = field(factory=dict, validator=_colours)
    categories: Annotated[dict[str, str], 'the group of each class: { road = "flat", car = "vehicle" }'] = field(
        factory=dict, validator=_categories
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names."""
        return names_of(self.classes, self.values)

    def class_table(self) -> ClassTable:
        """Give the classes, as the options name them.

        Raises:
            KdsegError: they name none.
        """
        if not self.names:
            raise KdsegError(
                'no classes are said; write classes = ["road", "car"], or values = { 0 = "road", 1 = "car" }'
                + self.class_mend
            )
        said = {name: read_colour(key) for key, name in reversed(self.values.items()) if key.startswith("#")}
        said |= {name: read_colour(text) for name, text in self.colours.items()}
        fresh = fresh_colours(said.values())
        return ClassTable(
            names=self.names,
            colours=tuple(said[name] if name in said else next(fresh) for name in self.names),
            categories=tuple(self.categories[name] for name in self.names) if self.categories else (),
        )

    def reader(self) -> ValueReader:
        """Give what reads the masks."""
        from kdseg.mask_values.masks import ValueReader

        meaning = meaning_of(self.names, self.values, reduce_zero_label=self.reduce_zero_label)
        return ValueReader(meaning, self.others == "ignore", self._told())

    def _told(self) -> str:
        """Say what masks may hold, and what mends one that holds something else."""
        if self.values:
            return 'list it in values, with a class or "ignore", or ignore all such pixels: others = "ignore"'
        first = int(self.reduce_zero_label)
        zero = ", and 0 and 255 are ignored" if first else ", and 255 is ignored"
        return (
            f"the {len(self.names)} classes have {first} to {len(self.names) - 1 + first}{zero}; correct classes, or "
            'say in values what each means, or ignore all such pixels: others = "ignore"'
        )
