"""Files by a folder or a glob, and the keys by which images and masks find each other."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from kdseg import Defect, KdsegError, did_you_mean
from kdseg.listing import Files
from kdseg.walk import PICTURES, is_folder, shown, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SHOWN = 8


def find(root: Path, pattern: str, option: str, mend: str = "") -> Files:
    """List the files of a folder, in folders below it too, or of a glob: ``*``, ``?``, and ``**`` for any folders.

    What the wildcards stand for, without the suffix, is a file's key: ``masks/*_mask.png`` gives ``masks/01_mask.png``
    the key ``01``. Hidden files and folders are left out; links to folders are followed.

    Args:
        root: what the pattern is relative to.
        pattern: with `{split}` filled in.
        option: whose value it is, for errors.
        mend: what else may help where a folder is missing, for errors: a clause.

    Raises:
        KdsegError: there is no such folder, or nothing fits.
    """
    parts = [part for part in pattern.replace("\\", "/").split("/") if part not in ("", ".")]
    if pattern.startswith("/"):
        root = Path("/")
    if not parts or not _is_wild(parts[-1]):
        parts += ["**", "*"]
    elif parts[-1] == "**":
        parts.append("*")
    fixed = next(number for number, part in enumerate(parts) if _is_wild(part))
    start = root.joinpath(*parts[:fixed])
    _refuse_missing(start, root, pattern, option, mend)
    ending = re.split(r"[*?]", parts[-1])[-1]
    found: dict[str, Path] = {}
    twins: dict[str, Defect] = {}
    for captured, path in _walk(start, parts[fixed:], ()):
        suffix = path.suffix if not ending else ""
        if not ending and suffix.lower() not in PICTURES:
            continue
        key = "/".join(captured).removesuffix(suffix)
        first = found.setdefault(key, path)
        if first is not path:
            twins[key] = Defect(path, f"is a second {key!r}, beside {first}; one of the two is wrong here")
    if not found:
        raise KdsegError(f"{start}: no file fits {option} = {pattern!r}; {_content_of(start)}")
    return Files((ending or ".png",), found, twins)


def _is_wild(part: str) -> bool:
    return "*" in part or "?" in part


def _walk(folder: Path, parts: Sequence[str], captured: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Path]]:
    """Give each file that fits, sorted, with what the wildcards stand for."""
    part, below = parts[0], parts[1:]
    if part == "**":
        for names, place, _ in walk(folder):
            yield from _walk(place, below, (*captured, *names))
        return
    pattern = re.compile("".join(_as_expression(piece) for piece in re.split(r"(\*+|\?)", part)))
    for entry in shown(folder):
        match = pattern.fullmatch(entry.name)
        if match is None:
            continue
        names = (*captured, *match.groups()) if _is_wild(part) else captured
        if below and is_folder(entry):
            yield from _walk(folder / entry.name, below, names)
        elif not below and not is_folder(entry):
            yield names, folder / entry.name


def _as_expression(piece: str) -> str:
    if piece.startswith("*"):
        return "(.*)"
    return "(.)" if piece == "?" else re.escape(piece)


def _refuse_missing(folder: Path, root: Path, pattern: str, option: str, mend: str) -> None:
    """Refuse a folder that is not there, and name the nearest that is."""
    if folder.is_dir():
        return
    if folder.is_file():
        raise KdsegError(f"{folder}: is a file; {option} = {pattern!r} is to name a folder, or files by a glob with *")
    chain = (folder, *folder.parents)
    missing, parent = next((one, above) for one, above in pairwise(chain) if above.is_dir())
    there = [entry.name for entry in shown(parent) if is_folder(entry)]
    key = "root" if root == missing or missing in root.parents else option
    said = str(root) if key == "root" else pattern
    raise KdsegError(
        f"{missing}: there is no such folder, which {key} = {said!r} names{_nearest(missing.name, there)}"
        f"{f'; {mend}' if mend and key != 'root' else ''}"
    )


def _nearest(name: str, there: Sequence[str]) -> str:
    """Name the folder that may be meant: one that begins so, one that is spelt alike; else all."""
    longer = [one for one in there if one.startswith(name)]
    if longer:
        return f"; did you mean {longer[0]!r}?"
    return did_you_mean(name, there) or (f"; there are {_some(there)}" if there else "; there are none")


def _content_of(folder: Path) -> str:
    """Say what a folder holds in place of what was sought."""
    names = [f"{entry.name}/" if is_folder(entry) else entry.name for entry in shown(folder)]
    return f"the folder holds {_some(names)}" if names else "the folder is empty"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
