"""Files written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from attrs import define, field

from kdseg.errors import KdsegError, display_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, bring it to the disk, then put it in `path`'s place.

    Raises:
        OSError: with `path`, where the disk refuses.
    """
    with _draft_of(path) as draft:
        write(draft)
        _to_disk(draft)
        draft.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, for people and scripts."""
    text = json_text(value, indent=2) + "\n"
    write_whole(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def json_text(value: Any, indent: int | None = None) -> str:
    """Give a value as JSON that any reader takes: JSON knows no NaN and no infinity, which become null."""
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; at the end it is on the disk and at `path`, or, after an error, nowhere.

    Raises:
        OSError: with `path`, where the disk refuses.
    """
    with _draft_of(path) as draft:
        _remove(draft)
        draft.mkdir()
        yield draft
        for file in draft.iterdir():
            _to_disk(file)
        _to_disk(draft)
        shutil.rmtree(path, ignore_errors=True)
        draft.rename(path)


@contextmanager
def whole_group(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; at the end its files lie on the disk beside `path`, or, after an error, none does.

    What `path` names comes last, so that it is never there without the others.

    Raises:
        OSError: with `path`, where the disk refuses.
    """
    with _draft_of(path) as draft:
        _remove(draft)
        draft.mkdir()
        yield draft
        files = sorted(draft.iterdir(), key=lambda file: file.name == path.name)
        for file in files:
            _to_disk(file)
        for file in files:
            file.replace(path.with_name(file.name))


@contextmanager
def _draft_of(path: Path) -> Iterator[Path]:
    """Give where a file or folder is written first: always there, so that a killed process's is written over."""
    draft = path.with_name(f".{path.name}.draft")
    with _disk_errors(path, path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with _disk_errors(path, draft):  # while what fills the disk is still there
                yield draft
        finally:
            _remove(draft)
        _to_disk(path.parent)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@define(eq=False)
class Lines:
    """A text file that grows by whole lines, each on its way to the disk at once."""

    path: Path
    _file: BinaryIO | None = field(default=None, init=False)

    def add(self, line: str) -> None:
        """Add one line.

        Raises:
            OSError: with the path; then nothing of the line stays.
        """
        with _disk_errors(self.path, self.path):
            if self._file is None:
                self._file = self.path.open("ab", buffering=0)  # a buffer would try again when it is closed
            data = memoryview(f"{line}\n".encode())
            before = os.fstat(self._file.fileno()).st_size
            try:
                while data:  # a disk that is nearly full takes a part
                    data = data[self._file.write(data) :]
            except OSError:
                os.truncate(self._file.fileno(), before)
                raise

    def to_disk(self) -> int:
        """Bring what was written to the disk, and give the size of the file in bytes."""
        if self._file is not None:
            with _disk_errors(self.path, self.path):
                os.fsync(self._file.fileno())
        return self.path.stat().st_size if self.path.exists() else 0

    def close(self) -> None:
        """Close the file; another line opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None


@contextmanager
def _disk_errors(path: Path, draft: Path) -> Iterator[None]:
    """Name `path` in the errors of a write to it, and tell those of the libraries that write as what they are."""
    try:
        yield
    except Exception as error:
        cause = _disk_error(error, draft)
        if cause is None or _names_another_file(cause, draft):
            raise
        raise OSError(cause.errno, cause.strerror, str(path)) from error


def _disk_error(error: BaseException, draft: Path) -> OSError | None:
    """Give what the disk said when a writer failed.

    safetensors puts it into a text of its own; torch.save loses it in a RuntimeError: then the disk, which is as full
    as it made it, is asked again.
    """
    link: BaseException | None = error
    lost = False
    while link is not None:
        lost |= isinstance(link, RuntimeError)
        if isinstance(link, OSError) and link.errno is not None:
            return link
        link = link.__cause__
    if said := re.search(r"\(os error (\d+)\)", str(error)):
        return OSError(int(said[1]), os.strerror(int(said[1])))
    if lost:
        try:
            with tempfile.TemporaryFile(dir=draft.parent) as file:
                file.write(bytes(1 << 16))
                file.flush()
                os.fsync(file.fileno())
        except OSError as answer:
            return OSError(answer.errno, answer.strerror)
    return None


def _names_another_file(error: OSError, draft: Path) -> bool:
    """Whether it was another file that failed: one that was to be copied, say."""
    names = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if name is not None]
    return bool(names) and not any(name.is_relative_to(draft) for name in names)


@contextmanager
def disk_told(place: Path, then: str) -> Iterator[None]:
    """Tell what a disk refused, and what follows from that.

    Args:
        place: told where the error names no file.
        then: what the user does next.

    Raises:
        KdsegError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        named = Path(os.fsdecode(error.filename)) if error.filename is not None else place
        raise KdsegError(f"{display_path(named)}: {error.strerror or error}; {then}") from error


def sha256(path: Path) -> str:
    """Give a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
