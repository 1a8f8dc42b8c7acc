"""Classes of other libraries (torch, albumentations) that a recipe names, as in ``{ use = "AdamW", lr = 1e-3 }``.

Their signatures stand in for the options that a component of kdseg's own would declare.
"""

from __future__ import annotations

import collections.abc
import inspect
import math
import re
import sys
import types
import typing
import warnings
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin

from kdseg.errors import OptionError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import ModuleType

T = TypeVar("T")

_ANNOTATION_NAMES = {name: getattr(collections.abc, name) for name in collections.abc.__all__} | {
    name: getattr(typing, name) for name in typing.__all__
}
"""For annotations whose names their module imports for type checkers alone."""


def lookup(
    namespace: ModuleType, name: str, base: type[T], refused: Mapping[str, str], extra: Iterable[str] = ()
) -> type[T]:
    """Find a class by its own name.

    Args:
        namespace: the module that offers it.
        name: what the recipe says.
        base: what the class must derive from.
        refused: names that are of no use here, each with the reason.
        extra: further names that the recipe could have meant, which the caller knows itself.

    Raises:
        OptionError: `name` is refused, or no public subclass of `base` is called that.
    """
    if name in refused:
        raise OptionError([("use", f"{name!r} cannot be used: {refused[name]}")])
    offered = {
        key: value
        for key, value in vars(namespace).items()
        if inspect.isclass(value) and issubclass(value, base) and not key.startswith("_") and key not in refused
    }
    if name not in offered:
        hint = did_you_mean(name, [*offered, *extra])
        raise OptionError([("use", f"{namespace.__name__} has no {base.__name__} called {name!r}{hint}")])
    return offered[name]


def construct(cls: Callable[..., T], options: Mapping[str, Any], *given: Any, **named: Any) -> T:
    """Make an object of a class by name, strictly.

    Args:
        cls: its class, or a function that makes it.
        options: what the recipe says: plain TOML values. Lists arrive at the class as tuples.
        given: its first arguments, which kdseg fills in.
        named: further arguments that kdseg fills in.

    Raises:
        OptionError: an unknown key, one that kdseg fills in, a missing one, a value of another type than annotated
            (a boolean is no number, a string is no boolean, 3.0 is no integer), or whatever the class itself refuses
            or warns of.
    """
    signature = _signature(cls)
    name = getattr(cls, "__name__", repr(cls))
    filled = {*list(signature.parameters)[: len(given)], *named}
    problems = [
        (key, message) for key, value in options.items() if (message := _complaint(signature, filled, key, value))
    ]
    missing = [
        repr(key)
        for key, parameter in signature.parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and key not in filled
        and key not in options
    ]
    if missing:
        problems.append(("", f"{name} needs {', '.join(missing)}"))
    if problems:
        raise OptionError(problems)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            made = cls(*given, **named, **{key: _with_tuples(value) for key, value in options.items()})
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise OptionError(_refusals(error, options)) from error
    if warned:  # a wrong argument is but warned of by albumentations, which then takes its defaults
        raise OptionError((_named_in(str(w.message), options), _one_line(str(w.message))) for w in warned)
    return made


def _signature(cls: Callable[..., Any]) -> inspect.Signature:
    """Give the signature of a class or function, its annotations evaluated where they can be."""
    owner = next(base for base in cls.__mro__ if "__init__" in vars(base)) if isinstance(cls, type) else cls
    names = _ANNOTATION_NAMES | vars(sys.modules[owner.__module__])
    signature = inspect.signature(cls)
    return signature.replace(
        parameters=[
            parameter.replace(annotation=_annotation(parameter, names)) for parameter in signature.parameters.values()
        ]
    )


def _annotation(parameter: inspect.Parameter, names: dict[str, Any]) -> Any:
    """Give a parameter's type: annotated, or that of its default, or Any."""
    annotation = parameter.annotation
    if isinstance(annotation, str):
        try:
            return eval(annotation, names)  # noqa: S307 (an annotation of an installed library, never a recipe's text)
        except (NameError, AttributeError, TypeError):
            annotation = parameter.empty
    if annotation is not parameter.empty:
        return annotation
    default = parameter.default
    if isinstance(default, int | float) and not isinstance(default, bool):
        return float
    return type(default) if isinstance(default, bool | str | tuple | list | dict) else Any


def _complaint(signature: inspect.Signature, filled: set[str], key: str, value: Any) -> str:
    """Say what is wrong with one option; nothing where nothing is."""
    if key in filled:
        return "is filled in by kdseg; leave it out"
    if key not in signature.parameters:
        own = [name for name in signature.parameters if name not in filled]
        return "unknown key" + (did_you_mean(key, own) or f"; known are {', '.join(own) or 'none'}")
    parameter = signature.parameters[key]
    if not all(math.isfinite(number) for number in numbers(value) if isinstance(number, float)):
        return f"takes finite numbers, found {value!r}"
    if _accepts(parameter.annotation, value):
        return ""
    return f"takes {inspect.formatannotation(parameter.annotation)}, found {value!r}"


def _accepts(annotation: Any, value: Any) -> bool:  # noqa: PLR0911 (one return a form of annotation)
    """Tell whether a plain TOML value may stand where `annotation` does."""
    origin, args = get_origin(annotation) or annotation, get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(_accepts(arg, value) for arg in args)
    if origin is Literal:
        return any(type(arg) is type(value) and arg == value for arg in args)
    if origin is typing.Annotated:
        return _accepts(args[0], value)
    if isinstance(value, list | tuple):
        if origin is tuple and args and args[-1] is not Ellipsis:
            return len(args) == len(value) and all(map(_accepts, args, value))
        holds_many = origin is Any or (inspect.isclass(origin) and issubclass(tuple, origin)) or origin is list
        return holds_many and all(_accepts(args[0] if args else Any, item) for item in value)
    if isinstance(value, dict):
        return origin is Any or (
            inspect.isclass(origin)
            and issubclass(dict, origin)
            and all(_accepts(args[1] if args else Any, item) for item in value.values())
        )
    if origin is float:
        return type(value) in (int, float)
    return origin is Any or origin is type(value) or isinstance(origin, TypeVar)


def numbers(value: Any) -> Iterable[int | float]:
    """Give every number within a plain value."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield value
    elif isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from numbers(item)


def _with_tuples(value: Any) -> Any:
    """Give a plain value with tuples for lists, which is how these libraries write ranges and sizes."""
    if isinstance(value, list | tuple):
        return tuple(map(_with_tuples, value))
    return {key: _with_tuples(item) for key, item in value.items()} if isinstance(value, dict) else value


def _refusals(error: Exception, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Turn the error of a constructor into problems; pydantic's, which albumentations chains, has one an option."""
    details = getattr(error.__cause__ or error, "errors", None)
    if not callable(details):
        text = _one_line(str(error) or type(error).__name__)
        return [(_named_in(text, options), text)]
    messages: dict[str, list[str]] = {}
    for detail in details():
        key = str(detail["loc"][0]) if detail["loc"] else ""
        text = _one_line(detail["msg"].removeprefix("Value error, "))
        key = key or _named_in(text, options)
        if text not in messages.setdefault(key, []):
            messages[key].append(text)
    return [
        (key if key in options else "", "; or ".join(texts) + (f"; found {options[key]!r}" if key in options else ""))
        for key, texts in messages.items()
    ]


def _named_in(text: str, options: Mapping[str, Any]) -> str:
    """Give the one option that a message names; the empty string where it names none or several."""
    named = [key for key in options if re.search(rf"\b{re.escape(key)}\b", text)]
    return named[0] if len(named) == 1 else ""


def _one_line(text: str) -> str:
    """Give a message on one line."""
    return " ".join(text.split())
