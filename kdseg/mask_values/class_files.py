"""Files that list the names of classes, as they lie beside images and masks."""

from __future__ import annotations

import csv
import json
import re
from typing import TYPE_CHECKING, Any

from attrs import frozen

from kdseg.errors import KdsegError, display_path, one_line
from kdseg.mask_values.colours import hex_of, packed
from kdseg.mask_values.meanings import IGNORE, LARGEST, refuse_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FILE_NAMES = (
    *(f"{stem}.txt" for stem in ("classes", "class_names", "labels", "label_names", "names", "label_colors")),
    *(f"{stem}.json" for stem in ("classes", "class_names", "labels", "label_names", "names", "id2label")),
    *(f"{stem}.csv" for stem in ("class_dict", "classes", "_classes", "labels")),
    *(f"{stem}.names" for stem in ("obj", "classes")),
)
"""What such files are called."""
_COLUMNS = {
    "name": ("name", "class", "class_name", "label"),
    "number": ("index", "id", "value", "pixel value", "class_index", "class_id"),
    "red": ("r", "red"),
    "green": ("g", "green"),
    "blue": ("b", "blue"),
}
"""Of CSV: what the columns are called."""
_LEFT_OUT = "__ignore__"
"""By which LabelMe's lists begin: of index -1."""
_FILE = re.compile(r"\.(png|jpe?g|tiff?|bmp|webp)\b", re.IGNORECASE)
_LARGEST_FILE = 2**20


@frozen(kw_only=True)
class ClassFile:
    """Names of classes, and what else the file says of each."""

    path: Path
    names: tuple[str, ...]
    numbers: tuple[int, ...] = ()
    """What each is in masks; empty: the file does not say it."""
    colours: tuple[str, ...] = ()
    """Likewise, as ``#rrggbb``."""


def find_class_files(folder: Path) -> Iterator[Path]:
    """Give the files in a folder, and in the folders in it, whose names are those of such lists."""
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        yield from (file for name in FILE_NAMES for file in place.glob(name))  # glob passes over what may not be read


def read_class_file(path: Path) -> ClassFile:
    """Read names: a line each, with a number or a colour in front; JSON, a list or names by numbers; CSV with a header.

    Raises:
        KdsegError: it cannot be read, or lists no names that classes may have.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise KdsegError(f"{display_path(path)}: is no list of classes: it is larger than 1 MiB")
        text = path.read_text(encoding="utf-8-sig")
        names, numbers, colours = {".json": _of_json, ".csv": _of_csv}.get(path.suffix.lower(), _of_lines)(text)
        _refuse_unfit(names, numbers, colours)
    except OSError as error:
        raise KdsegError(f"{display_path(path)}: cannot be read: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise KdsegError(f"{display_path(path)}: is no list of classes: {one_line(str(error))}") from error
    return ClassFile(path=path, names=tuple(names), numbers=tuple(numbers), colours=tuple(colours))


def _refuse_unfit(names: Sequence[str], numbers: Sequence[int], colours: Sequence[str]) -> None:
    if not names:
        raise ValueError("lists no class; write a name a line")
    if _FILE.search(names[0]):
        raise ValueError(f"lists files, such as {names[0]}")
    refuse_names([name for name in names if name != IGNORE])
    for number in numbers:
        if not 0 <= number <= LARGEST:
            raise ValueError(f"gives a class the number {number}; masks hold 0 to {LARGEST}")
    for told in (numbers, colours):
        twin = next((one for one in told if [*told].count(one) > 1), None)
        if twin is not None:
            raise ValueError(f"lists {twin} twice")


_Read = tuple["Sequence[str]", "Sequence[int]", "Sequence[str]"]


def _of_lines(text: str) -> _Read:
    lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("# ")]
    lines = lines[1:] if lines[:1] == [_LEFT_OUT] else lines
    coloured = [re.fullmatch(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(\S.*)", line) for line in lines]
    if lines and all(coloured):
        parts = [found.groups() for found in coloured if found]
        return [part[3] for part in parts], (), [_colour(part[:3]) for part in parts]
    numbered = [re.fullmatch(r"(\d+)\s*[\s:,;]\s*(\S.*)", line) for line in lines]
    if lines and all(numbered):
        pairs = [found.groups() for found in numbered if found]
        return [name for _, name in pairs], [int(number) for number, _ in pairs], ()
    return lines, (), ()


def _of_json(text: str) -> _Read:
    said: Any = json.loads(text)
    said = said.get("id2label", said) if isinstance(said, dict) else said
    if isinstance(said, list) and all(isinstance(name, str) for name in said):
        return said, (), ()
    if isinstance(said, dict) and all(isinstance(number, int) for number in said.values()):
        return [*said], [*said.values()], ()
    if isinstance(said, dict) and all(isinstance(name, str) for name in said.values()):
        return [*said.values()], [int(number) for number in said], ()
    raise ValueError('write ["road", "car"], or { "0": "road", "1": "car" }')


def _of_csv(text: str) -> _Read:
    header, *rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if row] or [[]]
    heads = [cell.lower() for cell in header]
    place = {
        column: next((heads.index(word) for word in words if word in heads), None) for column, words in _COLUMNS.items()
    }

    def cells(column: str) -> list[str]:
        number = place[column]
        return [] if number is None else [row[number] if number < len(row) else "" for row in rows]

    if place["name"] is None:
        raise ValueError(f"has no column of names in its header, {','.join(header)!r}; write name,r,g,b")
    colours = [_colour(rgb) for rgb in zip(cells("red"), cells("green"), cells("blue"), strict=False)]
    return cells("name"), [int(number) for number in cells("number")], colours


def _colour(rgb: Sequence[str]) -> str:
    parts = [int(part) for part in rgb]
    if not all(0 <= part < 2**8 for part in parts):
        raise ValueError(f"{', '.join(rgb)} is no colour of red, green and blue")
    return hex_of(packed(parts))
