"""The layers of a recipe as they are written: its file, the files that it extends, each `--set`."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from kdseg.errors import KdsegError, Problem, ProblemsError, did_you_mean, display_path
from kdseg.recipe.keys import DEEPEST, KeyPath, existing, join_key, key_lines, split_key, unfinished_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LARGEST_FILE = 2**20
"""Bytes of a recipe: nobody writes so many."""
LONGEST_KEY = 200
LONGEST_STRING = 2000
LONGEST_NAME = 255
"""Bytes of a file's name: more than no common file system takes."""
_INTEGERS = range(-(2**63), 2**63)
"""What TOML promises; no reader of a saved recipe need take others."""


class Text(str):
    """A string of a recipe, which remembers the folder that relative paths start from."""

    __slots__ = ("base",)

    base: Path

    def as_path(self) -> Path:
        """Read it as an absolute path.

        Raises:
            KdsegError: no file system takes it, or nobody could read it in a message.
        """
        if not self.isprintable() or any(len(part.encode()) > LONGEST_NAME for part in self.split("/")):
            raise KdsegError(f"is no path: all of it can be seen, and each name in it has up to {LONGEST_NAME} bytes")
        return Path(os.path.normpath(os.path.join(self.base, os.path.expanduser(self))))  # noqa: PTH111, PTH118 (pathlib's own raises for an unknown ~user)


@frozen(kw_only=True)
class Layer:
    """One file or one `--set`."""

    raw: dict[str, Any]
    """What it says."""
    document: dict[str, Any] = field(factory=dict)
    """The same with each component as a table and each name qualified; `kdseg.recipe.merge` fills it in."""
    file: Path | None = None
    """None for a `--set`."""
    text: str = ""
    set_key: KeyPath = ()
    """The key of a `--set`."""
    set_value: Any = None
    """Its value."""
    place: str = "--set"
    """Where a `--set` is written, as a problem shows it."""

    def states(self, path: KeyPath) -> bool:
        """Whether this key is said here."""
        return path[: len(self.set_key)] == self.set_key and existing(self.document, path) == path

    def line(self, path: KeyPath) -> int:
        """Give the line of a key or, where it is not said here, of the table that lacks it; 0 for a `--set`."""
        if self.file is None:
            return 0
        lines = key_lines(self.text)
        return next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), 1)

    def where(self, path: KeyPath) -> str:
        """Give the same as a problem shows it."""
        return f"{display_path(self.file)}:{self.line(path)}" if self.file else self.place


def setting_layer(path: KeyPath, value: Any, place: str) -> Layer:
    """Make the layer of a `--set` that is written elsewhere than on the command line.

    Args:
        path: the key.
        value: what it is to be, each string as `Text`.
        place: where that is written.
    """
    raw = value
    for part in reversed(path):
        raw = {part: raw}
    return Layer(raw=raw, set_key=path, set_value=value, place=place)


def read_layers(file: Path, settings: Sequence[str | Layer]) -> tuple[Layer, ...]:
    """Read a recipe's file, those that it extends, and the settings; no more than their syntax is checked.

    Returns:
        The layers, the strongest first: the last `--set`, …, the file, its parent, …

    Raises:
        ProblemsError: with all that is wrong.
    """
    problems: list[Problem] = []
    layers: list[Layer] = []
    for setting in settings:
        if isinstance(setting, Layer):
            layers.insert(0, setting)
            continue
        try:
            layers.insert(0, _read_setting(setting))
        except KdsegError as error:
            problems.append(Problem(where=shown_setting(setting), message=str(error)))
    try:
        layers.extend(_read_chain(file))
    except ProblemsError as error:
        problems.extend(error.problems)
    if problems:
        raise ProblemsError(problems)
    return tuple(layers)


def _read_chain(file: Path) -> list[Layer]:
    """Read a file and those that it extends."""
    layers = [read_file(file)]
    while "extends" in layers[-1].raw:
        chain = [layer.file for layer in layers if layer.file]
        try:
            path = _parent(layers[-1].raw["extends"], chain)
        except KdsegError as error:
            where = layers[-1].where(("extends",))
            raise ProblemsError([Problem(where=where, key="extends", message=str(error))]) from None
        layers.append(read_file(path))
    return layers


def _parent(extends: Any, chain: Sequence[Path]) -> Path:
    """Give the file that the last of `chain` extends.

    Raises:
        KdsegError: it cannot.
    """
    if not isinstance(extends, Text):
        raise KdsegError("must be a file's path, as a string")
    path = extends.as_path()
    if path.resolve() in [seen.resolve() for seen in chain]:
        raise KdsegError(f"goes round in a circle: {' -> '.join(display_path(link) for link in [*chain, path])}")
    if not path.is_file():
        beside = path.parent.glob("*.toml") if path.parent.is_dir() else ()
        raise KdsegError(f"there is no file {display_path(path)}{did_you_mean(path.name, [p.name for p in beside])}")
    return path


def read_file(file: Path) -> Layer:
    """Parse one file.

    Raises:
        ProblemsError: it cannot be read, or is no TOML that a recipe could hold.
    """

    def problem(line: int, message: str) -> ProblemsError:
        return ProblemsError([Problem(where=f"{display_path(file)}:{line}", message=message)])

    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        raise problem(1, f"cannot be read: {error.strerror}") from error
    if len(content) > LARGEST_FILE:
        raise problem(1, f"is larger than {LARGEST_FILE // 2**20} MiB; a recipe is a page or two of TOML")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        raise problem(line, f"is no UTF-8 text: byte 0x{content[error.start]:02x}; save the file as UTF-8") from None
    try:
        document = tomllib.loads(text)
    except ValueError as error:
        found = re.search(r" \(at line (\d+), column (\d+)\)$", str(error))
        if not found:
            start = unfinished_line(text, len(text.splitlines()))
            raise problem(start, f"broken TOML: {error}, in what begins on this line") from None
        line, column = int(found[1]), int(found[2])
        start = unfinished_line(text, line)
        begin = f", in what begins on line {start}" if start != line else ""
        raise problem(line, f"broken TOML: {str(error)[: found.start()]} at column {column}{begin}") from None
    except RecursionError:
        raise problem(1, f"lists and tables lie in each other more than {DEEPEST} deep; no recipe needs that") from None
    beyond = Layer(file=file, text=text, raw={})
    if problems := [
        Problem(where=beyond.where(path), key=join_key(path), message=text) for path, text in excesses(document)
    ]:
        raise ProblemsError(problems)
    return Layer(file=file, text=text, raw=remember(document, file.parent))


def _read_setting(setting: str) -> Layer:
    """Parse one ``KEY=VALUE``."""
    path, plain = parse_setting(setting, "KEY=VALUE, such as models.student.backbone.base=16")
    if path[0] in ("extends", "drop"):
        raise KdsegError(f"`{path[0]}` has its place in a file alone")
    return setting_layer(path, remember(plain, Path.cwd()), "--set")


def parse_setting(setting: str, form: str) -> tuple[KeyPath, Any]:
    """Part what a `--set` says into its key and its value, as plain data.

    Args:
        setting: a dotted key, ``=`` and a TOML value.
        form: how it is written, for the message.

    Raises:
        KdsegError: it is written otherwise.
    """
    try:
        setting.encode()
    except UnicodeEncodeError:
        raise KdsegError("is no UTF-8 text") from None
    key, equals, written = setting.partition("=")
    if not equals or not written.strip():
        raise KdsegError(f"write {form}")
    path = split_key(key)
    value = _read_value(written)
    for _, message in excesses(value, path):
        raise KdsegError(message)
    return path, value


def shown_setting(setting: str) -> str:
    """Give a `--set` as a message shows it."""
    shown = setting if len(setting) <= LONGEST_KEY else f"{setting[:LONGEST_KEY]}…"
    return f"--set {shown if shown.isprintable() else repr(shown)}"


def _read_value(written: str) -> Any:
    """Parse a TOML value; a plain word needs no quotes."""
    try:
        document = tomllib.loads(f"value = {written}")
        if document.keys() == {"value"}:
            return document["value"]
        reason = "more than one line"
    except ValueError as error:
        if re.fullmatch(r"[^\s\"'\[\]{}=,#]+", written.strip()):
            return written.strip()
        reason = re.sub(r" \(at .*\)$", "", str(error))
    except RecursionError:
        reason = "it nests too deeply"
    raise KdsegError(
        f"{written[:LONGEST_KEY]!r} is no TOML value ({reason}); put quotes around text that is more than a plain word"
    )


def excesses(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Tell what of a document is larger than any recipe needs, so that nothing that reads it need be prepared for it.

    Args:
        value: what lies at `path`.
        path: its keys.
    """
    if isinstance(value, dict | list):
        if len(path) >= DEEPEST:
            yield path, f"lies in more than {DEEPEST} tables and lists; no recipe needs that"
            return
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(key, str) and len(key) > LONGEST_KEY:
                yield (
                    (*path, f"{key[:LONGEST_KEY]}…"),
                    f"a key of {len(key)} characters; none has more than {LONGEST_KEY}",
                )
            else:
                yield from excesses(item, (*path, str(key)))
    elif isinstance(value, str) and len(value) > LONGEST_STRING:
        yield path, f"a string of {len(value)} characters; none has more than {LONGEST_STRING}"
    elif isinstance(value, int) and value not in _INTEGERS:
        yield path, "an integer beyond 64 bits, which TOML does not know"


def remember(value: Any, base: Path) -> Any:
    """Copy a document, each string as `Text` with `base` as the folder that relative paths start from."""
    if isinstance(value, dict):
        return {key: remember(item, base) for key, item in value.items()}
    if isinstance(value, list):
        return [remember(item, base) for item in value]
    if isinstance(value, str):
        text = Text(value)
        text.base = base
        return text
    return value


@frozen(kw_only=True)
class Origins:
    """Where each key of a merged recipe comes from."""

    layers: tuple[Layer, ...]
    """The strongest first."""
    document: dict[str, Any]
    """What they say together."""

    def problem(self, path: KeyPath, message: str) -> Problem:
        """Place a problem at its key or, where the key is missing, at the table that lacks it."""
        here = existing(self.document, path)
        if here:  # what no layer says by itself is a table that a --set made on its way: those are the strongest
            layer = next((layer for layer in self.layers if layer.states(here)), self.layers[0])
        else:
            layer = next(layer for layer in self.layers if layer.file)
        shown = path if here != path else existing(layer.raw, path)
        return Problem(where=layer.where(here), key=join_key(shown), message=message)
