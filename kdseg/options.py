"""The options of a component: what its fields say, and which types a field may have."""

from __future__ import annotations

import functools
import inspect
import types
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from attrs import NOTHING, Factory, fields, frozen

from kdseg.components import KINDS
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from attrs import Attribute

    from kdseg.components import Component

PLAIN_TYPES = (bool, int, float, str, Path)

_SUPPORTED = (
    "use bool, int, float, str, Path, Literal, tuple[...], list[...], dict[str, ...], a kind such as Loss, "
    "or one of these `| None`"
)


@frozen(kw_only=True)
class Option:
    """One option of a component."""

    name: str
    type: Any
    """Its type hint, resolved and without `Annotated`."""
    help: str
    """Empty where its field is not `Annotated`."""
    default: Any = NOTHING
    """`attrs.NOTHING` where a recipe must give it."""

    @property
    def required(self) -> bool:
        """Whether a recipe must give it."""
        return self.default is NOTHING


def component_options(cls: type[Component]) -> tuple[Option, ...]:
    """Give the options of a component, in the order of its fields.

    Raises:
        KdsegError: a field is no option; the registry refuses such classes when they are handed over.
    """
    component: Any = cls  # which mypy does not take for hashable
    return _options(component)


@functools.cache
def _options(cls: Any) -> tuple[Option, ...]:
    """Read all fields: once, as hints take most of the time in which plugins are loaded."""
    return tuple(_option(cls, attribute) for attribute in _option_fields(cls))


def option_breaches(cls: type[Component]) -> Iterator[str]:
    """Tell what is wrong with the fields of an attrs class as options, one line each with the mend."""
    try:
        component_options(cls)
    except KdsegError:
        for attribute in _option_fields(cls):
            try:
                _option(cls, attribute)
            except KdsegError as error:
                yield str(error)


def help_remarks(cls: type[Component]) -> Iterator[str]:
    """Tell which options of a sound component have no help, one line each with the mend."""
    for option in component_options(cls):
        if not option.help:
            mend = f'{option.name}: Annotated[{type_text(option.type)}, "its help"]'
            yield f"option {option.name!r} has no help; write `{mend}`"


def _option_fields(cls: Any) -> list[Attribute[Any]]:
    """Give the fields that a recipe can set, its own before those that every component of its kind has."""
    bases = [kind.base for kind in KINDS.values() if issubclass(cls, kind.base)]
    shared = {attribute.name for base in bases for attribute in vars(base).get("__attrs_attrs__", ())}
    return sorted((attribute for attribute in fields(cls) if attribute.init), key=lambda one: one.name in shared)


def _option(cls: type[Component], attribute: Attribute[Any]) -> Option:
    """Read one field."""
    name = attribute.name
    if name == "use":
        raise KdsegError("option 'use': recipes name the component by that key; give the option another name")
    if name != attribute.alias:
        raise KdsegError(f"option {name!r}: an option's name has no leading underscore; call it {attribute.alias!r}")
    try:
        hint = resolved_hint(cls, name)
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise KdsegError(
            f"option {name!r}: its annotation cannot be read ({error}); import what it names at the top of the "
            "module, outside TYPE_CHECKING"
        ) from error
    base, *texts = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if not is_supported(base):
        raise KdsegError(f"option {name!r}: {type_text(base)} is no type of an option; {_SUPPORTED}")
    text = texts[0] if len(texts) == 1 and isinstance(texts[0], str) else ""
    return Option(name=name, type=base, help=" ".join(text.split()), default=_default(name, base, attribute.default))


def _default(name: str, hint: Any, default: Any) -> Any:
    """Give a field's default as a value."""
    if isinstance(default, Factory):  # type: ignore[arg-type] # a class, which attrs declares a function
        if default.takes_self:
            raise KdsegError(
                f"option {name!r}: its default is computed from other options; give it a plain default, None say, "
                "and compute in build"
            )
        try:
            default = default.factory()
        except Exception as error:
            raise KdsegError(f"option {name!r}: making its default fails: {type(error).__name__}: {error}") from error
    if default is not NOTHING and not conforms(default, hint):
        raise KdsegError(f"option {name!r}: its default {default!r} is no {type_text(hint)}; change one of the two")
    return default


def resolved_hint(cls: type, name: str) -> Any:
    """Give the hint of an attribute, `Annotated` and `ClassVar` kept.

    Each hint is read alone, in the module of the class that states it: `typing.get_type_hints` would read those of
    every base too, some of which exist for type checkers only.

    Raises:
        NameError: the hint names something that its module does not hold.
    """
    home: Any = next(base for base in cls.__mro__ if name in inspect.get_annotations(base))
    return _stated_hint(home, name)


@functools.cache
def _stated_hint(home: Any, name: str) -> Any:
    """Give a hint where it is stated: once, however many classes inherit it."""
    annotation = inspect.get_annotations(home)[name]
    alone = type(home.__name__, (), {"__annotations__": {name: annotation}, "__module__": home.__module__})
    return get_type_hints(alone, include_extras=True)[name]


def is_supported(hint: Any) -> bool:
    """Whether a recipe can hold values of this type: a plain one, or one of them or None."""
    inner = without_none(hint)
    return _is_supported_value(hint if inner is None else inner)


def _is_supported_value(hint: Any) -> bool:
    """Whether TOML can hold values of this type."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return all(isinstance(choice, str | int) for choice in args)
    if origin in (tuple, list):
        return bool(args) and all(_is_supported_value(arg) for arg in args if arg is not Ellipsis)
    if origin is dict:
        return args[0] is str and _is_supported_value(args[1])
    return hint in PLAIN_TYPES or hint in [kind.base for kind in KINDS.values()]


def without_none(hint: Any) -> Any:
    """Give X of ``X | None``, and None for any other hint."""
    args = get_args(hint)
    if get_origin(hint) not in (Union, types.UnionType) or len(args) != 2 or type(None) not in args:  # noqa: PLR2004 (X and None)
        return None
    return next(arg for arg in args if arg is not type(None))


def conforms(value: Any, hint: Any) -> bool:
    """Whether a value is of a supported type as it stands: True is no int; an int serves as a float."""
    origin, args = get_origin(hint), get_args(hint)
    inner = without_none(hint)
    if inner is not None:
        return value is None or conforms(value, inner)
    if origin is Literal:
        return any(type(value) is type(choice) and value == choice for choice in args)
    if origin in (tuple, list):
        return isinstance(value, origin) and _items_conform(value, args if origin is tuple else (*args, ...))
    if origin is dict:
        return isinstance(value, dict) and all(
            isinstance(key, str) and conforms(item, args[1]) for key, item in value.items()
        )
    if hint in (int, float):
        return isinstance(value, int | hint) and not isinstance(value, bool)
    return isinstance(value, hint)


def _items_conform(items: Sequence[Any], hints: tuple[Any, ...]) -> bool:
    """Whether the items of a tuple fit ``tuple[X, ...]`` or ``tuple[X, Y]``."""
    if hints[-1] is Ellipsis:
        hints = (hints[0],) * len(items)
    return len(items) == len(hints) and all(map(conforms, items, hints))


def type_text(hint: Any) -> str:
    """Give a type as a person reads it: ``int | None``, ``"mean" | "sum"``, ``list[loss]``."""
    inner, origin, args = without_none(hint), get_origin(hint), get_args(hint)
    if inner is not None:
        return f"{type_text(inner)} | None"
    if origin is Literal:
        return " | ".join(f'"{choice}"' if isinstance(choice, str) else str(choice).lower() for choice in args)
    if origin in (tuple, list, dict):
        return f"{origin.__name__}[{', '.join('...' if arg is Ellipsis else type_text(arg) for arg in args)}]"
    for kind in KINDS.values():
        if hint is kind.base:
            return kind.name
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
