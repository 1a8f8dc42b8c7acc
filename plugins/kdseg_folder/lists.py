"""Splits by files that list images, one a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg import Defect, KdsegError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_FOR_HINTS = 2000
"""Names that are searched for the nearest, at most."""


def listed_keys(file: Path, images: Mapping[str, Path], root: Path) -> tuple[set[str], list[Defect]]:
    """Read which images a file lists: by key, by name with or without suffix, or by path.

    Of several words in a line the first counts where the line as a whole is no image. Empty lines, and those that
    begin with ``#``, count nowhere.

    Raises:
        KdsegError: it cannot be read, or lists nothing.
    """
    names = _names(images, root)
    found: set[str] = set()
    defects = []
    for number, line in enumerate(_lines(file), 1):
        if not line or line.startswith("#"):
            continue
        keys = next((names[name] for name in _spellings(line) if name in names), set())
        if len(keys) == 1 and not keys & found:
            found |= keys
        elif len(keys) == 1:
            defects.append(Defect(file, f"line {number}: lists {line!r} a second time; once is right"))
        elif keys:
            paths = " and ".join(str(images[key]) for key in sorted(keys)[:2])
            defects.append(Defect(file, f"line {number}: {line!r} may be {paths}; write its path"))
        else:
            near = did_you_mean(line, list(names)[:_FOR_HINTS])
            defects.append(Defect(file, f"line {number}: no image is called {line!r}{near}"))
    if not found and not defects:
        raise KdsegError(f"{file}: lists no image; write one a line, by name or path")
    return found, defects


def _lines(file: Path) -> list[str]:
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except FileNotFoundError:
        there = sorted(path.name for path in file.parent.glob("*.*")) if file.parent.is_dir() else []
        near = did_you_mean(file.name, there) or f"; there are {', '.join(there[:8]) or 'none'}"
        raise KdsegError(f"{file}: there is no such list of images{near}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise KdsegError(f"{file}: cannot be read as text: {error}") from error


def _names(images: Mapping[str, Path], root: Path) -> dict[str, set[str]]:
    """Give the keys of the images that each spelling may mean, the exact ones first."""
    names: dict[str, set[str]] = {}
    for key, path in images.items():
        whole = path.as_posix()
        spellings = {key, path.name, path.stem, whole, whole.removeprefix(f"{root.as_posix()}/")}
        for name in spellings:
            names.setdefault(name, set()).add(key)
    for key in images:
        names[key] = {key}
    return names


def _spellings(line: str) -> Iterable[str]:
    """Give what a line may mean: all of it, or its first word; as it stands, or its last part."""
    for text in (line, *line.split(maxsplit=1)[:1]):
        path = text.replace("\\", "/").removeprefix("./")
        yield path
        yield path.rpartition("/")[2]
