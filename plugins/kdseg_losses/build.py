"""Compiles the plugin's C source with the system's compiler, and keeps the object for later runs."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from kdseg.cache import cache_folder

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("fused.c")
_FLAGS = ("-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared", "-pthread")
_NATIVE = "-march=native"
_SECONDS = 120


@functools.cache
def library() -> ctypes.CDLL | None:
    """Give the compiled source, from the cache folder or compiled now; None, with a line in the log, where none can be.

    The object's name holds what it was made of (the source, the compiler, its flags, the processor's features) and a
    digest of itself: another processor's or a damaged one is never loaded. It is written beside its place and renamed,
    so that killed and concurrent compilers do no harm.
    """
    try:
        compiler = _compiler()
        key = _key(compiler)
        folder = cache_folder() / "compiled"
        return _kept(folder, key) or _compiled(compiler, folder, key)
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("fused losses are not compiled, and take longer: %s", _first_line(error))
        return None


def _compiler() -> list[str]:
    """Give $CC, or the first of the usual names that exists.

    Raises:
        FileNotFoundError: there is none.
    """
    if own := os.environ.get("CC"):
        return shlex.split(own)
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return [found]
    raise FileNotFoundError("no C compiler: neither $CC, cc, gcc nor clang is found")


def _key(compiler: list[str]) -> str:
    """Give a digest of all that the object depends on."""
    facts = (
        SOURCE.read_text(encoding="utf-8"),
        _run([*compiler, "--version"]),
        compiler,
        _FLAGS,
        _NATIVE,
        _processor(),
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def _processor() -> str:
    """Give what tells processors apart: their features, on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return repr((platform.machine(), platform.processor()))
    telling = ("vendor_id", "cpu family", "model", "flags", "Features", "CPU implementer", "CPU part")
    return "\n".join(sorted({line for line in lines if line.split(":")[0].strip() in telling}))


def _kept(folder: Path, key: str) -> ctypes.CDLL | None:
    """Load the kept object; None where there is none, or a damaged one."""
    for path in sorted(folder.glob(f"fused-{key}-*.so")):
        if path.name == _name(key, path.read_bytes()):
            return ctypes.CDLL(str(path))
        log.info("%s: damaged; it is compiled again", path)
    return None


def _name(key: str, content: bytes) -> str:
    return f"fused-{key}-{hashlib.sha256(content).hexdigest()[:32]}.so"


def _compiled(compiler: list[str], folder: Path, key: str) -> ctypes.CDLL:
    with tempfile.TemporaryDirectory(prefix="kdseg-") as draft:
        made = Path(draft) / "fused.so"
        command = [*compiler, *_FLAGS, "-o", str(made), str(SOURCE)]
        try:
            _run([*command, _NATIVE])
        except subprocess.CalledProcessError:  # not every compiler knows the flag
            _run(command)
        loaded = ctypes.CDLL(str(made))  # stays when the draft goes
        try:
            _keep(made, folder, key)
        except OSError as error:
            log.warning("%s: cannot be written (%s); each run compiles the fused losses anew", folder, error.strerror)
    return loaded


def _keep(made: Path, folder: Path, key: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _name(key, made.read_bytes())
    draft = folder / f".{path.name}.{os.getpid()}"
    shutil.copyfile(made, draft)
    draft.replace(path)


def _run(command: list[str]) -> str:
    """Run a compiler and give what it says.

    Raises:
        OSError: it cannot be started.
        subprocess.SubprocessError: it fails, or takes too long.
    """
    done = subprocess.run(command, capture_output=True, check=True, timeout=_SECONDS, text=True, errors="replace")  # noqa: S603 (the user's own compiler)
    return done.stdout


def _first_line(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError) and error.stderr:
        return f"{error.cmd[0]}: {error.stderr.strip().splitlines()[0]}"
    return str(error).splitlines()[0]
