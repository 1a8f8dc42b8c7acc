"""Find, load, isolate and report plugins: entry points of the group ``kdseg``, and files beside a recipe."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pluggy
from attrs import define, field, frozen

from kdseg import hookspecs
from kdseg.components import KINDS, Kind
from kdseg.entry_points import installed_points, text_of
from kdseg.errors import did_you_mean, display_path, one_line
from kdseg.options import help_remarks
from kdseg.plugin_file import import_file
from kdseg.registry import Absence, Entry, Refused, Registry, breaches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kdseg.components import Component

GROUP = "kdseg"
DISABLE_VARIABLE = "KDSEG_DISABLE_PLUGINS"

_MACHINERY = ("<", *(str(Path(str(module.__file__)).parent) + os.sep for module in (hookspecs, importlib, pluggy)))
"""How the file names begin that a traceback holds because plugins are loaded, not because of the plugin."""


@frozen(kw_only=True)
class PluginReport:
    """What became of one plugin."""

    name: str
    distribution: str
    version: str
    status: Literal["ok", "failed", "disabled"]
    problems: tuple[str, ...]
    """What is wrong with it, one line each with the mend; an ``ok`` plugin may have some too."""
    components: tuple[Entry, ...]
    path: Path | None = None
    """The file, resolved, where it is a file beside a recipe."""


@frozen(kw_only=True)
class Plugins:
    """All plugins and what they offer."""

    registry: Registry
    reports: tuple[PluginReport, ...]


@define(kw_only=True)
class _Plugin:
    """A plugin while it is loaded."""

    name: str
    distribution: str
    version: str
    load: Callable[[], Any]
    path: Path | None = None
    status: Literal["ok", "failed", "disabled"] = "ok"
    losses: list[str] = field(factory=list)
    """Problems that cost components."""
    remarks: list[str] = field(factory=list)
    """Problems that cost none."""
    entries: list[Entry] = field(factory=list)
    refused: list[Refused] = field(factory=list)

    @property
    def id(self) -> str:
        """The name under which it is registered with pluggy."""
        return f"{self.distribution}:{self.name}"

    @property
    def told(self) -> str:
        """Which it is, in messages."""
        return f"plugin {self.id} {self.version}".rstrip()

    def lose(self, problem: str) -> None:
        """Note a problem that costs components."""
        self.losses.append(one_line(problem))

    def refuse(self, kind: Kind, cls: type[Component], problems: Sequence[str]) -> None:
        """Note a component that cannot be used, for whoever names it."""
        name = getattr(cls, "name", None)
        if isinstance(name, str):
            cause = f"{self.told}: {cls.__qualname__}: {one_line('; '.join(problems))}"
            self.refused.append(Refused(kind=kind.name, name=name, distribution=self.distribution, cause=cause))

    def fail(self, problem: str) -> None:
        """Note that it cannot be used as it is."""
        self.status = "failed"
        self.lose(problem)

    def report(self) -> PluginReport:
        """Say what became of it."""
        return PluginReport(
            name=self.name,
            distribution=self.distribution,
            version=self.version,
            status=self.status,
            problems=(*self.losses, *self.remarks),
            components=tuple(self.entries),
            path=self.path,
        )

    def absence(self) -> Absence:
        """Say, for whoever misses a component, why it may have come from here."""
        status = "" if self.status == "ok" else f"{self.status}: "
        return Absence(distribution=self.distribution, cause=f"{self.told} ({status}{self.losses[0]})")


def load_plugins(files: Sequence[Path] = ()) -> Plugins:
    """Load the installed plugins, sorted by distribution and name, then the files.

    No plugin can harm another: what goes wrong with one is in its report. Modules are imported once a process;
    a file is read again when its content has changed.

    Args:
        files: plugin files beside a recipe.
    """
    installed = _installed()
    plugins = [*installed, *_beside_recipe(files, {plugin.distribution for plugin in installed})]
    unmatched = _disable(plugins)
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    with _collector_at_rest():
        for plugin in plugins:
            if plugin.status == "ok":
                _open(plugin, manager)
    _drop_duplicates(plugins)
    return Plugins(
        registry=Registry(
            entries=[entry for plugin in plugins for entry in plugin.entries],
            absences=tuple(plugin.absence() for plugin in plugins if plugin.losses),
            refused=tuple(one for plugin in plugins for one in plugin.refused),
        ),
        reports=(*(plugin.report() for plugin in plugins), *unmatched),
    )


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Look for no garbage while classes are made: there is next to none, and looking takes a tenth of the time."""
    at_work = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if at_work:
            gc.enable()


def _installed() -> list[_Plugin]:
    """List the plugins of installed distributions."""
    plugins = []
    for point in installed_points(GROUP):
        plugin = _Plugin(name=point.name, distribution=point.distribution, version=point.version, load=point.load)
        if point.problem:
            plugin.fail(point.problem)
        plugins.append(plugin)
    return sorted(plugins, key=lambda plugin: (plugin.distribution, plugin.name))


def _beside_recipe(files: Sequence[Path], taken: set[str]) -> Iterator[_Plugin]:
    """List the plugins that are files, refusing those whose qualified names would be another's."""
    paths = list(dict.fromkeys(path.resolve() for path in files))
    stems = Counter(path.stem for path in paths)
    for path in paths:
        stem = path.stem
        plugin = _Plugin(name=stem, distribution=stem, version="", path=path, load=partial(import_file, path))
        if stems[stem] > 1 or stem in taken:
            owner = "another plugin file" if stems[stem] > 1 else "an installed distribution"
            plugin.fail(f"{display_path(path)}: {owner} is called {stem!r} too; rename the file")
        elif not path.is_file():
            plugin.fail(f"{display_path(path)}: there is no such file")
        yield plugin


def _disable(plugins: Sequence[_Plugin]) -> list[PluginReport]:
    """Mark the plugins that the environment disables; report each name there that is no plugin's."""
    wanted = [name.strip() for name in os.environ.get(DISABLE_VARIABLE, "").split(",") if name.strip()]
    for plugin in plugins:
        if plugin.name in wanted or plugin.id in wanted:
            plugin.status = "disabled"
            plugin.losses = [f"{DISABLE_VARIABLE} names it; take it out there to have it back"]
    known = [name for plugin in plugins for name in (plugin.name, plugin.id)]
    return [
        PluginReport(
            name=name,
            distribution="",
            version="",
            status="disabled",
            problems=(f"{DISABLE_VARIABLE} names {name!r}, which is no plugin{did_you_mean(name, known)}",),
            components=(),
        )
        for name in wanted
        if name not in known
    ]


@contextmanager
def _isolated(plugin: _Plugin, doing: str = "") -> Iterator[None]:
    """Turn whatever a plugin's own code raises into a problem of that plugin; only Ctrl-C goes through."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 (no plugin may harm another)
        plugin.fail(doing + _cause(error))


def _open(plugin: _Plugin, manager: pluggy.PluginManager) -> None:
    """Import one plugin, register it and collect what its hooks hand over."""
    had_torch = "torch" in sys.modules
    with _isolated(plugin):
        module = plugin.load()
        if manager.is_registered(module):
            plugin.fail(f"its module is the plugin {manager.get_name(module)} already, under which name it counts")
            return
        manager.register(module, plugin.id)
        _check_hooks(plugin, manager, module)
        for kind in KINDS.values():
            for hook in getattr(manager.hook, kind.hook).get_hookimpls():
                if hook.plugin is module:
                    with _isolated(plugin, f"{kind.hook}: "):
                        _collect(plugin, kind, hook.function())
    if not had_torch and "torch" in sys.modules:
        plugin.remarks.append(
            "it loads torch when it is imported, which slows every command by seconds; import torch, and what "
            "imports torch, inside build"
        )


def _check_hooks(plugin: _Plugin, manager: pluggy.PluginManager, module: object) -> None:
    """Tell about hooks that do not exist and about a plugin without any."""
    hooks = [kind.hook for kind in KINDS.values()]
    callers = manager.get_hookcallers(module) or []
    for caller in callers:
        if not caller.has_spec():
            suggestion = did_you_mean(caller.name, hooks)
            plugin.lose(f"unknown hook {caller.name!r}{suggestion}; the hooks are {', '.join(hooks)}")
    for hook in hooks:
        if hasattr(module, hook) and hook not in [caller.name for caller in callers]:
            plugin.lose(f"{hook} is no hook yet; put `@hookimpl` (from kdseg) above it")
    if not any(caller.has_spec() for caller in callers):
        plugin.fail(f"it implements no hook; implement one of {', '.join(hooks)}")


def _collect(plugin: _Plugin, kind: Kind, handed: object) -> None:
    """Keep the sound components of what a hook returned."""
    if not isinstance(handed, Iterable):
        plugin.fail(f"{kind.hook} returned {handed!r}; return a list of {kind.base.__name__} classes")
        return
    for item in list(handed):  # a generator that fails half-way gives nothing
        if not isinstance(item, type) or not issubclass(item, kind.base):
            plugin.lose(f"{kind.hook} handed over {item!r}; hand over classes whose base is {kind.base.__name__}")
            continue
        label = f"{kind.name} {item.__qualname__}: "
        with _isolated(plugin, label):
            problems = list(breaches(kind, item))
            for problem in problems:
                plugin.lose(label + problem)
            if problems:
                plugin.refuse(kind, item, problems)
            else:
                plugin.remarks += [label + remark for remark in help_remarks(item)]
                entry = Entry(
                    kind=kind,
                    name=item.name,
                    cls=item,
                    plugin=plugin.name,
                    distribution=plugin.distribution,
                    version=plugin.version,
                    path=plugin.path,
                )
                plugin.entries.append(entry)


def _drop_duplicates(plugins: Sequence[_Plugin]) -> None:
    """Where one distribution offers a name of a kind twice, let neither win."""
    offers = Counter((entry.kind.name, entry.qualified) for plugin in plugins for entry in plugin.entries)
    for plugin in plugins:
        doubled = dict.fromkeys(entry for entry in plugin.entries if offers[entry.kind.name, entry.qualified] > 1)
        for entry in doubled:
            problem = (
                f"{entry.distribution} offers this name more than once; none of them counts until all but one are gone "
                "or renamed"
            )
            plugin.lose(f"{entry.kind.name} {entry.name!r} ({entry.cls.__qualname__}): {problem}")
            plugin.refuse(entry.kind, entry.cls, [problem])
        plugin.entries = [entry for entry in plugin.entries if entry not in doubled]


def _cause(error: BaseException) -> str:
    """Give an error, with the place in the plugin where it arose."""
    text = text_of(error)
    if isinstance(error, SystemExit):
        text = f"it ends the program (sys.exit({error.code!r}))"
    else:
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, SyntaxError):  # its text names the place
        return text
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_MACHINERY)]
    return f"{text} ({display_path(Path(frames[-1].filename))}:{frames[-1].lineno})" if frames else text
