"""Components by name: provenance, ambiguity, suggestions, and what a component class must be."""

from __future__ import annotations

import functools
import inspect
import re
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, get_args, get_origin

from attrs import field, frozen

from kdseg.components import KINDS, Component, Kind
from kdseg.errors import KdsegError, did_you_mean
from kdseg.options import option_breaches, resolved_hint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


@frozen(kw_only=True)
class Entry:
    """One component and where it comes from."""

    kind: Kind
    name: str
    cls: type[Component]
    plugin: str
    """The entry point's name (``unet``), or the file's stem."""
    distribution: str
    """The distribution's name (``kdseg``), or the file's stem."""
    version: str
    """Of the distribution; empty for a file."""
    path: Path | None = None
    """The file, where the plugin is a file beside a recipe."""

    @property
    def qualified(self) -> str:
        """The name that always works: ``kdseg/unet1m``."""
        return f"{self.distribution}/{self.name}"

    @property
    def summary(self) -> str:
        """The first line of its help."""
        return inspect.cleandoc(self.cls.__doc__ or "").partition("\n")[0]


@frozen(kw_only=True)
class Absence:
    """Something that a plugin would have offered, had nothing been wrong."""

    distribution: str
    cause: str


@frozen(kw_only=True)
class Refused:
    """A component that a plugin handed over and that cannot be used."""

    kind: str
    name: str
    distribution: str
    cause: str
    """The plugin, and what is wrong."""

    def is_called(self, kind: str, name: str) -> bool:
        """Whether a recipe means it by a name, bare or qualified."""
        return self.kind == kind and name in (self.name, f"{self.distribution}/{self.name}")


def _in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Sort by kind, then name."""
    kinds = list(KINDS)
    return tuple(sorted(entries, key=lambda entry: (kinds.index(entry.kind.name), entry.name, entry.distribution)))


@frozen(kw_only=True)
class Registry:
    """The components that a recipe can name."""

    entries: tuple[Entry, ...] = field(converter=_in_order)
    """By kind in the order of `KINDS`, then by name."""
    absences: tuple[Absence, ...] = ()
    """Where an unknown component may have gone, one a plugin."""
    refused: tuple[Refused, ...] = ()
    """What cannot be used."""

    def of_kind(self, kind: str) -> tuple[Entry, ...]:
        """Give the components of a kind, by name.

        Raises:
            KdsegError: there is no such kind.
        """
        if kind not in KINDS:
            raise KdsegError(f"unknown kind {kind!r}{did_you_mean(kind, KINDS)}; the kinds are {', '.join(KINDS)}")
        return tuple(entry for entry in self.entries if entry.kind.name == kind)

    def find(self, kind: str, name: str) -> Entry:
        """Give the component of a bare (``unet1m``) or qualified (``kdseg/unet1m``) name.

        Raises:
            KdsegError: none is called so, one is but cannot be used, or several plugins offer the bare name. The text
                is one line.
        """
        entries = self.of_kind(kind)
        found = [entry for entry in entries if name in (entry.name, entry.qualified)]
        if len(found) == 1:
            return found[0]
        if found:
            names = " or ".join(repr(entry.qualified) for entry in found)
            raise KdsegError(f"{kind} {name!r} is offered by several plugins; write {names}")
        if refused := dict.fromkeys(one.cause for one in self.refused if one.is_called(kind, name)):
            raise KdsegError(f"{kind} {name!r} cannot be used: {' and '.join(refused)}")
        raise KdsegError(self._unknown(kind, name))

    def entry_of(self, cls: type[Component]) -> Entry:
        """Give the entry of a component class.

        Raises:
            KdsegError: no plugin handed it over.
        """
        for entry in self.entries:
            if entry.cls is cls:
                return entry
        raise KdsegError(f"{cls.__module__}.{cls.__qualname__} was handed over by no plugin")

    def _unknown(self, kind: str, name: str) -> str:
        """Say that a name is unknown, and what may help."""
        distribution, slash, _ = name.partition("/")
        entries = self.of_kind(kind)
        suggestion = did_you_mean(name, [entry.qualified if slash else entry.name for entry in entries])
        others = [entry.kind.name for entry in self.entries if name in (entry.name, entry.qualified)]
        absences = [absence for absence in self.absences if not slash or absence.distribution == distribution]
        text = f"unknown {kind} {name!r}"
        if others:
            text += f"; a {others[0]} is called so"
        elif suggestion:
            text += suggestion
        elif not absences and slash and distribution not in {entry.distribution for entry in self.entries}:
            text += f"; no plugin {distribution!r} is here: pip install {distribution}, or list the file in `plugins`"
        else:
            text += "; `kdseg list-plugins` shows what there is"
        return text + ("; it may come from " + " or ".join(absence.cause for absence in absences) if absences else "")


def check_requirements(entry: Entry) -> None:
    """Check that the optional libraries of a component are installed, by metadata alone.

    Raises:
        KdsegError: some are not; the text gives the pip command.
    """
    if entry.cls.requires:
        refuse_unmet(f"{entry.kind.name} {entry.qualified}", entry.cls.requires)


def refuse_unmet(who: str, requires: Iterable[str]) -> None:
    """Check that optional libraries are installed, by metadata alone.

    Raises:
        KdsegError: some are not; the text says who needs them and gives the pip command.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    told, wanted = [], []
    for line in requires:
        try:
            requirement = Requirement(line)
        except InvalidRequirement as error:
            raise KdsegError(
                f"{who}: its requirement {line!r} cannot be read ({error}); tell the plugin's author"
            ) from error
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            found = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            found = ""
        if not found or not requirement.specifier.contains(found, prereleases=True):
            told.append(f"{line} ({f'found {found}' if found else 'not installed'})")
            wanted.append(f"'{line}'")
    if told:
        raise KdsegError(f"{who} needs {', '.join(told)}: pip install {' '.join(wanted)}")


def breaches(kind: Kind, cls: type[Component]) -> Iterator[str]:
    """Tell what keeps a class from being a component of a kind, one line each with the mend."""
    own = vars(cls)
    if "__attrs_attrs__" not in own:
        yield "it is no attrs class; put `@frozen(kw_only=True)` (from attrs) above the class itself"
        return
    if not isinstance(own.get("name"), str):
        yield 'it has no name of its own; write `name: ClassVar[str] = "..."`'
    elif not _NAME.fullmatch(own["name"]):
        rule = "use lower-case letters, digits, - and _, a letter first, 64 at most"
        yield f"its name {own['name'][:80]!r} does not fit; {rule}"
    if not (own.get("__doc__") or "").strip():
        yield "it has no docstring of its own; write one: it is the help that people read"
    if cls.build is kind.base.build:  # type: ignore[attr-defined] # every kind's base has one
        yield "it has no build; write `def build(self, ctx)`"
    requires: object = cls.requires
    if not isinstance(requires, tuple) or not all(isinstance(line, str) for line in requires):
        yield f'requires is {requires!r}; write a tuple of requirements: ("transformers>=4.40",)'
    yield from _lack_breaches(kind, cls)
    yield from _choice_breaches(kind, cls)
    yield from _hiding_breaches(kind, cls)
    yield from option_breaches(cls)


def _lack_breaches(kind: Kind, cls: type[Component]) -> Iterator[str]:
    """Check that nothing is missing that the kind's base states without a value (a metric's scores, say)."""
    options = {attribute.name for attribute in vars(kind.base).get("__attrs_attrs__", ())}
    for name, hint in inspect.get_annotations(kind.base).items():
        given = name in options or name in _choices(kind) or hasattr(cls, name)
        if not given:
            yield f"it has no {name}; write `{name}: {hint} = ...`"


def _choice_breaches(kind: Kind, cls: type[Component]) -> Iterator[str]:
    """Check the class variables for which the kind's base lists the values (a loss's role, say)."""
    for name, choices in _choices(kind).items():
        if getattr(cls, name, None) not in choices:
            found = repr(getattr(cls, name)) if hasattr(cls, name) else "not given"
            yield f"its {name} is {found}; write `{name} = ...` with one of {', '.join(map(repr, choices))}"


@functools.cache
def _choices(kind: Kind) -> dict[str, tuple[object, ...]]:
    """Give the values that a kind's base lists for class variables, by name: once a kind, for it takes time."""
    listed = {}
    for name in inspect.get_annotations(kind.base):
        try:
            hint = resolved_hint(kind.base, name)
        except NameError:  # a type that exists for type checkers only is no Literal
            continue
        inner = get_args(hint)[0] if get_origin(hint) is ClassVar else None
        if get_origin(inner) is Literal:
            listed[name] = get_args(inner)
    return listed


def _hiding_breaches(kind: Kind, cls: type[Component]) -> Iterator[str]:
    """Check that no option hides what the engine reads from every component of the kind."""
    taken = {*dir(kind.base), *inspect.get_annotations(kind.base), *inspect.get_annotations(Component)}
    shared = {attribute.name for attribute in vars(kind.base).get("__attrs_attrs__", ())}
    for attribute in vars(cls)["__attrs_attrs__"]:
        if attribute.name in taken and not (attribute.name in shared and attribute.inherited):
            yield (
                f"option {attribute.name!r} hides {kind.base.__name__}.{attribute.name}; give the option another name, "
                "or declare it a ClassVar if the class's own is meant"
            )
