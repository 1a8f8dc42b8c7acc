"""The layers of a recipe as they are written: its file, the files that it extends, each `--set`."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from kdseg.errors import KdsegError, Problem, ProblemsError, did_you_mean, display_path
from kdseg.recipe.keys import KeyPath, existing, join_key, key_lines, split_key, unfinished_line

if TYPE_CHECKING:
    from collections.abc import Sequence


class Text(str):
    """A string of a recipe, which remembers the folder that relative paths start from."""

    __slots__ = ("base",)

    base: Path

    def as_path(self) -> Path:
        """Read it as an absolute path."""
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
        return f"{display_path(self.file)}:{self.line(path)}" if self.file else "--set"


def read_layers(file: Path, settings: Sequence[str]) -> tuple[Layer, ...]:
    """Read a recipe's file, those that it extends, and the settings; no more than their syntax is checked.

    Returns:
        The layers, the strongest first: the last `--set`, …, the file, its parent, …

    Raises:
        ProblemsError: with all that is wrong.
    """
    problems: list[Problem] = []
    layers: list[Layer] = []
    for setting in settings:
        try:
            layers.insert(0, _read_setting(setting))
        except KdsegError as error:
            shown = setting if setting.isprintable() else repr(setting)
            problems.append(Problem(where=f"--set {shown}", message=str(error)))
    try:
        layers.extend(_read_chain(file))
    except ProblemsError as error:
        problems.extend(error.problems)
    if problems:
        raise ProblemsError(problems)
    return tuple(layers)


def _read_chain(file: Path) -> list[Layer]:
    """Read a file and those that it extends."""
    layers = [_read_file(file)]
    while (parent := layers[-1].raw.get("extends")) is not None:
        path = parent.as_path() if isinstance(parent, Text) else None
        chain = [layer.file for layer in layers if layer.file]
        if path is None:
            message = "must be a file's path, as a string"
        elif path.resolve() in [seen.resolve() for seen in chain]:
            message = f"goes round in a circle: {' -> '.join(display_path(link) for link in [*chain, path])}"
        elif not path.is_file():
            beside = path.parent.glob("*.toml") if path.parent.is_dir() else ()
            message = f"there is no file {display_path(path)}{did_you_mean(path.name, [near.name for near in beside])}"
        else:
            layers.append(_read_file(path))
            continue
        raise ProblemsError([Problem(where=layers[-1].where(("extends",)), key="extends", message=message)])
    return layers


def _read_file(file: Path) -> Layer:
    """Parse one file."""

    def problem(line: int, message: str) -> ProblemsError:
        return ProblemsError([Problem(where=f"{display_path(file)}:{line}", message=message)])

    content = file.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        raise problem(line, f"is no UTF-8 text: byte 0x{content[error.start]:02x}; save the file as UTF-8") from None
    try:
        document = tomllib.loads(text)
    except ValueError as error:
        start = unfinished_line(text)
        found = re.search(r" \(at line (\d+), column (\d+)\)$", str(error))
        if not found:
            raise problem(start, f"broken TOML: {error}, in what begins on this line") from None
        line, column = int(found[1]), int(found[2])
        begin = f", in what begins on line {start}" if start != line else ""
        raise problem(line, f"broken TOML: {str(error)[: found.start()]} at column {column}{begin}") from None
    return Layer(file=file, text=text, raw=remember(document, file.parent))


def _read_setting(setting: str) -> Layer:
    """Parse one ``KEY=VALUE``."""
    try:
        setting.encode()
    except UnicodeEncodeError:
        raise KdsegError("is no UTF-8 text") from None
    key, equals, written = setting.partition("=")
    if not equals or not written.strip():
        raise KdsegError("write KEY=VALUE, such as models.student.backbone.base=16")
    path = split_key(key)
    if path[0] in ("extends", "drop"):
        raise KdsegError(f"`{path[0]}` has its place in a file alone")
    value = remember(_read_value(written), Path.cwd())
    raw = value
    for part in reversed(path):
        raw = {part: raw}
    return Layer(raw=raw, set_key=path, set_value=value)


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
    raise KdsegError(f"{written!r} is no TOML value ({reason}); put quotes around text that is more than a plain word")


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
