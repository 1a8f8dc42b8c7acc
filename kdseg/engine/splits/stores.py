"""Splits kept as raw arrays, made once by whoever comes first and shared by all processes of a machine."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from attrs import evolve

from kdseg.cache import cache_folder
from kdseg.data.resample import ResampledFiles, resampled
from kdseg.data.store import StoredSamples, stored_bytes, write_store
from kdseg.engine.folders.files import write_whole
from kdseg.engine.machine.progress import counted
from kdseg.engine.splits.scans import scan_split
from kdseg.engine.splits.stamps import digest_of, lie_in_files, split_of, splits_of, stamp
from kdseg.errors import KdsegError, display_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kdseg.engine.check.phases import Checked
    from kdseg.engine.splits.stamps import Split
    from kdseg.registry import Registry

LAYOUT = 4
"""Of the files: raised when it or what is read of images changes, so that old ones are not read."""
PLACE = 32
"""Characters that name a split of a dataset, with which the names of its files begin."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (its folder there is the user's own)
GB = 1e9
log = logging.getLogger("kdseg")


@contextmanager
def raw_samples(checked: Checked) -> Iterator[Checked]:
    """Give a run's samples from the store that its recipe asks for, made first where it is not there.

    A store in memory is removed when no process uses it any more: at the end, or, after a kill, at the next start.

    Raises:
        KdsegError: there is too little room, or what is wrong with a sample.
    """
    _remove_unused(_folder("memory"), "*")
    where = checked.loaded.recipe.data.store
    if where is None:
        yield checked
        return
    if where == "memory" and not SHARED_MEMORY.is_dir():
        raise KdsegError(
            f'data.store = "memory" needs {SHARED_MEMORY}, which is not there; "disk" needs no more than a disk'
        )
    with ExitStack() as stack:
        found: dict[str, Any] = {}
        for name in splits_of(checked):
            split = split_of(checked, name)
            if _can_be_kept(split, checked):
                registry, workers = checked.loaded.plugins.registry, checked.loaded.recipe.train.workers
                samples = split.samples
                if isinstance(samples, ResampledFiles):  # the whole split is kept, for all who take some of it
                    split = evolve(split, samples=samples.samples)
                stored = stack.enter_context(_stored(split, registry, where, workers))
                found[name] = resampled(stored, samples.indices) if isinstance(samples, ResampledFiles) else stored
        yield evolve(checked, **found)


def _can_be_kept(split: Split, checked: Checked) -> bool:
    if not lie_in_files(split.samples):
        log.warning("data.store: the %s split does not lie in files; its samples are made anew each time", split.name)
        return False
    extras = [name for metric in checked.loaded.recipe.evaluate.metrics for name in metric.extras]
    extras = extras if split.name == "val" else []
    if names := dict.fromkeys([*extras, *split.samples[0].extras]):
        log.warning(
            "data.store: the %s split is read from its files each time: the store has no place for its %s",
            split.name,
            ", ".join(names),
        )
    return not names


@contextmanager
def _stored(split: Split, registry: Registry, where: str, workers: int) -> Iterator[StoredSamples]:
    """Give a split as it lies in the store."""
    files: Sequence[tuple[Path, ...]] = split.samples.files  # type: ignore[attr-defined] # it lies in files
    stamps = hashlib.sha256("".join(map(stamp, files)).encode()).hexdigest()[:32]
    place = digest_of(split, registry, LAYOUT)
    path = _folder(where) / f"{place}-{stamps}.raw"
    with _locked(path.with_name(f"{place}.lock"), split.name):
        if path.parent.stat().st_uid != os.getuid():
            raise KdsegError(f"{path.parent}: belongs to another user; it is where data.store keeps samples")
        held = _held(path)
        if held is None:
            _remove_unused(path.parent, f"{place}-*", locked=True)  # of files that changed since
            _make(path, split, registry, where, workers)
            held = _held(path)
    if held is None:
        raise KdsegError(f"{path}: was removed while it was made")
    try:
        yield StoredSamples.of(path, files, getattr(split.samples, "defects", ()))
    finally:
        _let_go(held)
        if where == "memory":
            _remove_unused(path.parent, f"{place}*")


def _make(path: Path, split: Split, registry: Registry, where: str, workers: int) -> None:
    """Write a split to the store.

    Raises:
        KdsegError: there is too little room, or what is wrong with a sample.
    """
    sizes = [(height, width) for height, width in scan_split(split, registry, workers=workers).sizes.tolist()]
    needed, free = stored_bytes(sizes), _free(path.parent, where)
    other = "disk" if where == "memory" else "memory"
    place = "memory" if where == "memory" else display_path(path.parent)
    what = f"the {split.name} split takes {needed / GB:.2f} GB as raw arrays"
    if needed > free:
        raise KdsegError(
            f'data.store = "{where}": {what}, and {free / GB:.2f} GB are free in {place}; make room, try "{other}", or '
            "leave it out"
        )
    log.info("%s; %.2f GB are free in %s", what, free / GB, place)
    with counted(f"{split.name} as raw arrays", len(sizes)) as on_sample:
        try:
            write_whole(
                path, lambda draft: write_store(draft, split.samples, sizes, workers=workers, on_sample=on_sample)
            )
        except OSError as error:
            raise KdsegError(f'data.store = "{where}": {path}: cannot be written: {error.strerror}') from error


def _free(folder: Path, where: str) -> int:
    """Give the bytes that are free: in memory, those that no process would miss."""
    free = shutil.disk_usage(folder).free
    return min(free, int(psutil.virtual_memory().available)) if where == "memory" else free


def _folder(where: str) -> Path:
    return cache_folder() / "store" if where == "disk" else SHARED_MEMORY / f"kdseg-{os.getuid()}"


@contextmanager
def _locked(path: Path, name: str) -> Iterator[None]:
    """Let one process at a time do something; it lets go when it ends, however that is."""
    import fcntl

    while True:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:  # somebody removed the folder, which was empty, in between
            continue
        except OSError as error:
            if isinstance(error, FileExistsError) and not (path.parent.is_file() or path.parent.is_symlink()):
                continue  # likewise, between two looks of mkdir
            raise KdsegError(
                f"{path}: cannot be written: {error.strerror}; it is where data.store keeps samples"
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for the process that makes the %s split's raw arrays", name)
            fcntl.flock(handle, fcntl.LOCK_EX)
        if _same(handle, path):
            break
        os.close(handle)
    try:
        yield
    finally:
        _let_go(handle)


def _held(path: Path) -> int | None:
    """Keep a whole file from being removed; None where there is none."""
    import fcntl

    while True:
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        fcntl.flock(handle, fcntl.LOCK_SH)
        if _same(handle, path):
            return handle
        os.close(handle)


def _let_go(handle: int) -> None:
    """Release a lock, for workers that have inherited it too."""
    import fcntl

    fcntl.flock(handle, fcntl.LOCK_UN)
    os.close(handle)


def _same(handle: int, path: Path) -> bool:
    """Whether a file that was opened is still the one of that name."""
    try:
        return os.fstat(handle).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _taken(path: Path, *, make: bool) -> int | None:
    """Lock a file that nobody holds; None where somebody does, or it is not there."""
    import fcntl

    try:
        handle = os.open(path, os.O_RDWR | (os.O_CREAT if make else 0), 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    if _same(handle, path):
        return handle
    os.close(handle)  # another process removed it, and a third may have made it again
    return None


def _remove_unused(folder: Path, pattern: str, *, locked: bool = False) -> None:
    """Remove what no process holds: stores, drafts of killed processes and, unless this one holds them, their locks."""
    with suppress(FileNotFoundError):  # it was never made, or another process removes it at the same time
        if folder.stat().st_uid == os.getuid():
            _remove_files(folder, pattern, locked=locked)
            with suppress(OSError):  # something is in use
                folder.rmdir()


def _remove_files(folder: Path, pattern: str, *, locked: bool) -> None:
    files = [file for kind in (pattern, f".{pattern}") for file in folder.glob(kind)]
    for file in sorted(files, key=lambda file: file.suffix == ".lock"):
        place = file.name.removeprefix(".")[:PLACE]
        lock = folder / f"{place}.lock"
        if file == lock and (locked or any(folder.glob(f"*{place}-*"))):
            continue
        with ExitStack() as stack:
            for each in (file,) if locked or file == lock else (lock, file):
                handle = _taken(each, make=each == lock)
                if handle is None:
                    break
                stack.callback(os.close, handle)
            else:
                file.unlink(missing_ok=True)
