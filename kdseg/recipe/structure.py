"""From a merged document to the classes of the schema and of the components, strictly."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import attrs
from cattrs import Converter

from kdseg.components import Component, Dataset, kind_of
from kdseg.errors import KdsegError, did_you_mean
from kdseg.plugins import check_requirements
from kdseg.recipe.curves import Curve, Points
from kdseg.recipe.layers import Text
from kdseg.recipe.merge import item_hints, merge, normalise
from kdseg.recipe.schema import ByName, Data, Participant, Recipe, Term, keys_of, nature_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kdseg.recipe.keys import KeyPath
    from kdseg.registry import Registry


class Mistakes(Exception):  # noqa: N818 (`load_recipe` gives each its place and raises ProblemsError)
    """What is wrong with a part of a document, each with its key below that part."""

    def __init__(self, found: Iterable[tuple[KeyPath, str]]) -> None:
        self.found = list(found)
        super().__init__(self.found)


def structure(document: dict[str, Any], registry: Registry) -> Recipe:
    """Make the recipe that a merged and normalised document says.

    Nothing is converted but an integer where a number is wanted.

    Raises:
        Mistakes: with all that is wrong.
    """
    return _Structurer(registry).converter.structure(document, Recipe)


class _Structurer:
    """The hooks of a converter, one for every type that a recipe may hold."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.converter = converter = Converter(detailed_validation=False)
        converter.register_structure_hook_func(attrs.has, self.table)
        converter.register_structure_hook_func(lambda hint: get_origin(hint) in (tuple, list), self.sequence)
        converter.register_structure_hook_func(lambda hint: get_origin(hint) is dict, self.mapping)
        converter.register_structure_hook_func(lambda hint: get_origin(hint) is Literal, _literal)
        converter.register_structure_hook_func(_is_component, self.component)
        converter.register_structure_hook(Participant, self.participant)
        converter.register_structure_hook(float | Curve | Points, self.weight)
        converter.register_structure_hook(Data, self.data)
        converter.register_structure_hook(Term, self.term)
        converter.register_structure_hook(ByName, _by_name)
        converter.register_structure_hook(Path, _path)
        for type_ in (bool, int, float, str):
            converter.register_structure_hook(type_, _scalar)

    def each(self, parts: Iterable[tuple[str, Any, Any]]) -> dict[str, Any]:
        """Structure parts, each a key, a value and a type, and tell the mistakes of all."""
        done, found = {}, []
        for key, value, hint in parts:
            try:
                done[key] = self.converter.structure(value, hint)
            except Mistakes as mistakes:
                found += [((key, *path), message) for path, message in mistakes.found]
        if found:
            raise Mistakes(found)
        return done

    def sequence(self, value: Any, hint: Any) -> Any:
        if not isinstance(value, list):
            raise _expected("a list", value)
        hints = item_hints(hint, len(value))
        if len(hints) != len(value):
            raise _mistake(f"expected a list of {len(hints)}, found one of {len(value)}")
        items = self.each((str(n), *part) for n, part in enumerate(zip(value, hints, strict=True)))
        return get_origin(hint)(items.values())

    def mapping(self, value: Any, hint: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _expected("a table", value)
        return self.each((key, item, get_args(hint)[1]) for key, item in value.items())

    def table(self, value: Any, cls: Any, owner: str = "this table") -> Any:
        """Structure the table that a class describes; `owner` says whose keys they are."""
        if not isinstance(value, dict):
            raise _expected("a table", value)
        keys = keys_of(cls)
        found = [((key,), _unknown(key, keys, owner)) for key in value if key not in keys]
        found += [
            ((key,), f"missing: {option.help}") for key, option in keys.items() if option.required and key not in value
        ]
        try:
            values = self.each((key, item, keys[key].type) for key, item in value.items() if key in keys)
        except Mistakes as mistakes:
            found += mistakes.found
        if found:
            raise Mistakes(found)
        return _construct(cls, values)

    def component(self, value: Any, base: type[Component]) -> Component:
        kind = kind_of(base).name
        options = _options_of_use(value, f"a {kind}")
        try:
            entry = self.registry.find(kind, value["use"])
            check_requirements(entry)
        except KdsegError as error:
            raise _mistake(str(error), "use") from None
        component: Component = self.table(options, entry.cls, entry.qualified)
        return component

    def participant(self, value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise _expected("a table", value)
        nature = nature_of(value)
        return self.table(value, nature, nature.nature)

    def weight(self, value: Any, _: Any) -> Any:
        if isinstance(value, dict):
            return self.table(value, Curve if value.keys().isdisjoint(keys_of(Points)) else Points)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _expected("a number, { curve = …, from = …, to = … } or { at = […], value = […] }", value)
        return _scalar(value, float)

    def term(self, value: Any, _: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("turn"), str):
            value = value | {"turn": [value["turn"]]}
        return self.table(value, Term)

    def data(self, value: Any, _: Any) -> Any:
        """Structure the data, each split's options laid over the dataset's."""
        if not isinstance(value, dict):
            raise _expected("a table", value)
        table, found = dict(value), []
        for split in ("train", "val"):
            options, dataset = table.pop(split, {}), value.get("dataset")
            if not isinstance(options, dict):
                found.append(((split,), f"expected a table of the dataset's options, found {_described(options)}"))
            elif "use" in options:
                found.append(((split, "use"), "is no option; data.dataset names the dataset, of every split"))
            elif options and isinstance(dataset, dict):
                table[split] = merge(dataset, normalise(options, Dataset, dataset, self.registry))
        try:
            data = self.table(table, Data)
        except Mistakes as mistakes:
            inherited = [(path[1:], message) for path, message in mistakes.found if path[0] == "dataset"]
            found += [
                (path, message)
                for path, message in mistakes.found
                if path[0] not in ("train", "val") or (path[1:], message) not in inherited
            ]
        if found:
            raise Mistakes(found)
        return data


def _is_component(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Component)


def _scalar(value: Any, type_: type) -> Any:
    """Structure a bool, an int, a float or a str."""
    words = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}
    accepted = int | float if type_ is float else type_
    if not isinstance(value, accepted) or (isinstance(value, bool) and type_ is not bool):
        raise _expected(words[type_], value)
    try:
        scalar = type_(value)
    except OverflowError:
        scalar = math.inf
    if type_ is float and not math.isfinite(scalar):
        raise _expected("a finite number", value)
    return scalar


def _path(value: Any, _: Any) -> Path:
    if not isinstance(value, Text) or not value:
        raise _expected("a path, as a string", value)
    return value.as_path()


def _literal(value: Any, hint: Any) -> Any:
    choices = get_args(hint)
    value = str(value) if isinstance(value, str) else value
    if any(type(value) is type(choice) and value == choice for choice in choices):
        return value
    near = did_you_mean(value, [choice for choice in choices if isinstance(choice, str)]) if isinstance(value, str) else ""
    known = " or ".join(map(_shown, choices))
    raise _mistake(f"expected {known}, found {_described(value)}{near}")


def _by_name(value: Any, _: Any) -> ByName:
    options = _options_of_use(value, "a class")
    found = [((key, *path), message) for key, option in options.items() for path, message in _not_plain(option)]
    if found:
        raise Mistakes(found)
    return ByName(use=str(value["use"]), options=_plain(options))


def _not_plain(value: Any) -> Iterator[tuple[KeyPath, str]]:
    """Tell of numbers that are none, and of dates, anywhere below."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from (((str(key), *path), message) for path, message in _not_plain(item))
    elif isinstance(value, float) and not math.isfinite(value):
        yield (), f"expected a finite number, found {_described(value)}"
    elif not isinstance(value, bool | int | float | str):
        yield (), f"expected a plain value, found {_described(value)}"


def _plain(value: Any) -> Any:
    """Copy plain TOML values, each `Text` as a string."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def _options_of_use(value: Any, what: str) -> dict[str, Any]:
    """Give the other keys of a table with `use`."""
    if not isinstance(value, dict):
        raise _expected(f"the name of {what}, or a table with `use`", value)
    if "use" not in value:
        raise _mistake(f"missing: the name of {what}", "use")
    if not isinstance(value["use"], str):
        raise Mistakes([(("use",), f"expected the name of {what}, found {_described(value['use'])}")])
    return {key: item for key, item in value.items() if key != "use"}


def _construct(cls: type, values: dict[str, Any]) -> Any:
    """Make the object, or tell which key its validators refuse."""
    try:
        return cls(**values)
    except (ValueError, TypeError, KdsegError) as error:
        raise Mistakes(list(_refused(cls, values)) or [((), _text(error))]) from None


def _refused(cls: Any, values: dict[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Run the validators of a class one by one: making the object stops at the first that fails."""
    options = {option.name: (key, option) for key, option in keys_of(cls).items()}
    bare = object.__new__(cls)
    for name, (_, option) in options.items():
        object.__setattr__(bare, name, values.get(name, option.default))
    for field in attrs.fields(cls):
        if field.validator and field.name in options:
            try:
                field.validator(bare, field, getattr(bare, field.name))
            except (ValueError, TypeError, KdsegError) as error:
                yield (options[field.name][0],), _text(error).removeprefix(f"'{field.name}' ")


def _text(error: Exception) -> str:
    """Give the message alone: some validators of attrs add the field and the value as further arguments."""
    return str(error.args[0] if error.args else error)


def _unknown(key: str, keys: Iterable[str], owner: str) -> str:
    """Say that a key is unknown, and what may be meant."""
    near = did_you_mean(key, keys)
    return f"unknown key{near}" if near else f"unknown key; {owner} takes {', '.join(keys) or 'no options'}"


def _mistake(message: str, *path: str) -> Mistakes:
    return Mistakes([(path, message)])


def _expected(what: str, value: Any) -> Mistakes:
    return _mistake(f"expected {what}, found {_described(value)}")


def _described(value: Any) -> str:
    """Say what a TOML value is, with the value where it is short."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return _shown(value)
    kinds = {int: "the integer", float: "the number", str: "the string"}
    return next((f"{word} {_shown(value)}" for type_, word in kinds.items() if isinstance(value, type_)), "a date or time")


def _shown(value: Any) -> str:
    """Write a scalar as a person does."""
    return str(value).lower() if isinstance(value, bool) else repr(str(value)) if isinstance(value, str) else str(value)
