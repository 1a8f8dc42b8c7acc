"""Mistakes a person can mend, each saying how."""

from __future__ import annotations

import difflib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


_LONGEST = 1000
"""Characters of what another's error may add to a message."""


class KdsegError(Exception):
    """A mistake of the user's: the command line prints its text alone and exits with 2."""


@frozen(kw_only=True)
class Problem:
    """One thing that is wrong, and where it can be mended."""

    message: str
    key: str = ""
    """Dotted key of the recipe, such as ``models.student.backbone.base``."""
    where: str = ""
    """``FILE:LINE`` or ``--set``; empty where the problem has no place in a file."""

    def __str__(self) -> str:
        """Give the problem as one line: place, key, message."""
        return ": ".join(part for part in (self.where, self.key, self.message) if part)


class ProblemsError(KdsegError):
    """Several problems, found in one phase and told together, one a line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class OptionError(KdsegError):
    """What is wrong with the table of a class by name.

    Attributes:
        problems: pairs of a key within that table (``"use"``, an option, or ``""`` for the table) and a message.
    """

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{key}: {message}" if key else message for key, message in self.problems))

    def below(self, prefix: str) -> OptionError:
        """Give the same problems with their keys placed below `prefix`."""
        return OptionError((f"{prefix}.{key}" if key else prefix, message) for key, message in self.problems)


def one_line(text: object) -> str:
    """Give what an error says on one line in which all can be seen: it may quote a damaged file."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(str(text).split()))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


@contextmanager
def component_told(name: str) -> Iterator[None]:
    """Tell whatever a plugin's component raises as its own: ``backbone theirs/net: ValueError: no good``.

    Raises:
        KdsegError: in place of it; one that it raised itself goes through.
    """
    try:
        yield
    except KdsegError:
        raise
    except Exception as error:
        raise KdsegError(f"{name}: {type(error).__name__}: {one_line(error)}") from error


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Give ``"; did you mean 'x'?"`` for the nearest candidate, or the empty string where none is near."""
    near = difflib.get_close_matches(name.lower(), {candidate.lower(): None for candidate in candidates}, n=1)
    if not near:
        return ""
    return f"; did you mean {next(c for c in candidates if c.lower() == near[0])!r}?"


def display_path(path: Path) -> str:
    """Give the path as a person types it: relative to the working folder where it lies below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
