"""From a merged document to the classes of the schema and of the components, strictly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import attrs
from cattrs import Converter

from kdseg.components import Component, Dataset, kind_of
from kdseg.errors import KdsegError, did_you_mean
from kdseg.options import type_text
from kdseg.recipe.curves import Curve, Points
from kdseg.recipe.merge import item_hints, merge, normalise
from kdseg.recipe.schema import Learner, Participant, Recipe, Term, nature_of
from kdseg.recipe.schema_keys import keys_of
from kdseg.recipe.schema_train import ByName, Data
from kdseg.recipe.values import Mistake, Mistakes, described, expected, literal, mistake, path_value, scalar, unknown
from kdseg.registry import check_requirements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kdseg.registry import Registry


def structure(document: dict[str, Any], registry: Registry) -> Recipe:
    """Make the recipe that a merged and normalised document says.

    Nothing is converted but an integer where a number is wanted.

    Raises:
        Mistakes: with all that is wrong.
    """
    try:
        return Structurer(registry).converter.structure(document, Recipe)
    except Mistakes as mistakes:
        raise Mistakes(_with_near_names(mistakes.found, document)) from None


_ALONE: Mapping[str, set[str]] = {"models": {"backbone"}, "terms": {"learner", "loss"}, "callbacks": {"use"}}
"""What no table below these can be without."""


def _with_near_names(found: Sequence[Mistake], document: dict[str, Any]) -> Iterator[Mistake]:
    """Name, beside all that a table lacks, another whose name is near: of a name mistyped comes a new, empty table."""
    lacking: dict[tuple[str, ...], set[str]] = {}
    for path, message in found:
        if message.startswith("missing: ") and len(path) > 2 and path[3:] in ((), ("use",)):  # noqa: PLR2004 (its kind and name)
            lacking.setdefault(path[:2], set()).add(path[2])
    for path, message in found:
        kind, name = (*path, "", "")[:2]
        near = ""
        if lacking.get((kind, name), set()) == _ALONE.get(kind) and message.startswith("missing: "):
            near = did_you_mean(name, [other for other in document[kind] if (kind, other) not in lacking])
        yield path, f"{message}; {name!r} is a new name here{near}" if near else message


class Structurer:
    """The hooks of a converter, one for every type that a recipe may hold."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.converter = converter = Converter(detailed_validation=False)
        hooks: tuple[tuple[Callable[[Any], bool], Callable[[Any, Any], Any]], ...] = (
            (attrs.has, self.table),
            (lambda hint: isinstance(hint, type) and issubclass(hint, Component), self.component),
            (lambda hint: get_origin(hint) in (tuple, list), self.sequence),
            (lambda hint: get_origin(hint) is dict, self.mapping),
            (lambda hint: get_origin(hint) is Literal, literal),
            (lambda hint: hint is Any, self.anything),
        )
        for fits, hook in hooks:
            converter.register_structure_hook_func(fits, hook)
        converter.register_structure_hook(Participant, self.participant)
        converter.register_structure_hook(float | Curve | Points, self.weight)
        converter.register_structure_hook(Data, self.data)
        converter.register_structure_hook(Term, self.term)
        converter.register_structure_hook(ByName, self.by_name)
        converter.register_structure_hook(Path, path_value)
        for type_ in (bool, int, float, str):
            converter.register_structure_hook(type_, scalar)

    def each(self, parts: Iterable[tuple[str, Any, Any]]) -> dict[str, Any]:
        """Structure parts, each a key, a value and a type, and tell the mistakes of all."""
        done: dict[str, Any] = {}
        found: list[Mistake] = []
        for key, value, hint in parts:
            try:
                done[key] = self.converter.structure(value, hint)
            except Mistakes as mistakes:
                found += [((key, *path), message) for path, message in mistakes.found]
        if found:
            raise Mistakes(found)
        return done

    def sequence(self, value: Any, hint: Any) -> Any:
        """Structure a list or a tuple."""
        if not isinstance(value, list):
            raise expected("a list", value)
        hints = item_hints(hint, len(value))
        if len(hints) != len(value):
            raise mistake(f"expected a list of {len(hints)}, found one of {len(value)}")
        items = self.each((str(n), *part) for n, part in enumerate(zip(value, hints, strict=True)))
        return get_origin(hint)(items.values())

    def mapping(self, value: Any, hint: Any) -> dict[str, Any]:
        """Structure a table whose keys are names."""
        if not isinstance(value, dict):
            raise expected("a table", value)
        return self.each((key, item, get_args(hint)[1]) for key, item in value.items())

    def anything(self, value: Any, _: Any) -> Any:
        """Structure a value whose type somebody else knows."""
        if isinstance(value, dict | list):
            return self.mapping(value, dict[str, Any]) if isinstance(value, dict) else self.sequence(value, list[Any])
        for type_ in (bool, int, float, str):
            if isinstance(value, type_):
                return scalar(value, type_)
        raise expected("a plain value", value)

    def table(self, value: Any, cls: Any, owner: str = "") -> Any:
        """Structure the table that a class describes; `owner` is told with keys that it does not have."""
        if not isinstance(value, dict):
            raise expected("a table", value)
        keys = keys_of(cls)
        found: list[Mistake] = [((key,), unknown(key, keys, owner)) for key in value if key not in keys]
        missing = {key: option for key, option in keys.items() if option.required and key not in value}
        found += [((key,), f"missing: {option.help or type_text(option.type)}") for key, option in missing.items()]
        made = None
        try:
            values = self.each((key, item, keys[key].type) for key, item in value.items() if key in keys)
            if not missing:
                made = _construct(cls, {keys[key].name: item for key, item in values.items()})
        except Mistakes as mistakes:
            found += mistakes.found
        if found:
            raise Mistakes(found)
        return made

    def component(self, value: Any, base: type[Component]) -> Component:
        """Structure a component: its class's options."""
        kind = kind_of(base).name
        options = _options(value, f"a {kind}")
        try:
            entry = self.registry.find(kind, value["use"])
            check_requirements(entry)
        except KdsegError as error:
            raise mistake(str(error), "use") from None
        component: Component = self.table(options, entry.cls)
        return component

    def by_name(self, value: Any, _: Any) -> ByName:
        """Structure the use of another library's class."""
        options = _options(value, "a class")
        return ByName(use=str(value["use"]), options=self.mapping(options, dict[str, Any]))

    def participant(self, value: Any, _: Any) -> Any:
        """Structure a participant by the nature that its keys tell."""
        if not isinstance(value, dict):
            raise expected("a table", value)
        if value.get("frozen") is False:
            raise mistake("is true or left out: without it the participant learns", "frozen")
        nature = nature_of(value)
        return self.table(value, nature, "" if nature is Learner else nature.nature)

    def weight(self, value: Any, _: Any) -> Any:
        """Structure a term's weight."""
        if isinstance(value, dict):
            return self.table(value, Curve if value.keys().isdisjoint(keys_of(Points)) else Points)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise expected("a number, { curve = …, from = …, to = … } or { at = […], value = […] }", value)
        return scalar(value, float)

    def term(self, value: Any, _: Any) -> Any:
        """Structure a term, which may name its only turn, and its only source, without a list."""
        if isinstance(value, dict):
            value = value | {key: [value[key]] for key in ("turn", "source") if isinstance(value.get(key), str)}
        return self.table(value, Term)

    def data(self, value: Any, _: Any) -> Any:
        """Structure the data, each split's options laid over the dataset's."""
        if not isinstance(value, dict):
            raise expected("a table", value)
        table = dict(value)
        found: list[Mistake] = []
        for split in ("train", "val"):
            options, dataset = table.pop(split, {}), value.get("dataset")
            if not isinstance(options, dict):
                found.append(((split,), f"expected a table of the dataset's options, found {described(options)}"))
            elif "use" in options:
                text = "data.dataset names the dataset, for every split; here stand options of it"
                found.append(((split, "use"), text))
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


def _options(value: Any, what: str) -> dict[str, Any]:
    """Check the `use` of a table and give its other keys."""
    if not isinstance(value, dict):
        raise expected(f"the name of {what}, or a table with `use`", value)
    if "use" not in value:
        raise mistake(f"missing: the name of {what}", "use")
    if not isinstance(value["use"], str):
        raise expected(f"the name of {what}", value["use"], "use")
    return {key: item for key, item in value.items() if key != "use"}


def _construct(cls: type, values: dict[str, Any]) -> Any:
    """Make the object, or tell which key its validators refuse."""
    try:
        return cls(**values)
    except (ValueError, TypeError, KdsegError) as error:
        raise Mistakes(list(_refused(cls, values)) or [((), _text(error))]) from None


def _refused(cls: Any, values: dict[str, Any]) -> Iterator[Mistake]:
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
