"""The compiled object: kept, never trusted blindly, and done without where it cannot be made."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
import torch

from kdseg_losses import build
from kdseg_losses.logit import PixelKLLoss


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path, caplog):
    """An empty cache folder, nothing remembered, the log in hand, and a source that is quick to compile."""
    caplog.set_level(logging.INFO)
    source = tmp_path / "fused.c"
    source.write_text("int answer(void) { return 42; }\n", encoding="utf-8")
    monkeypatch.setattr(build, "SOURCE", source)
    monkeypatch.setenv("KDSEG_CACHE", str(tmp_path / "cache"))
    build.library.cache_clear()
    yield tmp_path / "cache" / "compiled"
    build.library.cache_clear()


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """Let a shell script stand in for the compiler; the real one is $REAL."""
    monkeypatch.setenv("REAL", build._compiler()[0])

    def stand_in(script):
        path = tmp_path / "compiler"
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        monkeypatch.setenv("CC", str(path))

    return stand_in


def load():
    """Load as the first run of another process does."""
    build.library.cache_clear()
    return build.library()


def objects(folder):
    return sorted(path for path in folder.iterdir() if path.suffix == ".so")


def test_it_is_compiled_once(cache, compiler, tmp_path):
    compiler(f'echo x >> "{tmp_path}/calls"; exec "$REAL" "$@"')
    assert load().answer() == 42
    assert load().answer() == 42
    assert len(objects(cache)) == 1
    assert (tmp_path / "calls").read_text(encoding="utf-8").count("x") == 3  # its version, the object, its version
    assert list(cache.iterdir()) == objects(cache)


def test_other_source_flags_or_processor_make_another_object(monkeypatch, tmp_path):
    keys = {build._key(["cc"])}
    with monkeypatch.context() as other:
        other.setattr(build, "_processor", lambda: "flags: another")
        keys.add(build._key(["cc"]))
    with monkeypatch.context() as other:
        other.setattr(build, "_FLAGS", ("-O2",))
        keys.add(build._key(["cc"]))
    (tmp_path / "fused.c").write_text("int other;", encoding="utf-8")
    keys.add(build._key(["cc"]))
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo cannot allocate memory >&2; exit 1", "cannot allocate memory"),
        ('case "$*" in *--version*) exec "$REAL" --version;; esac; exit 1', "exit status 1"),
        ('case "$*" in *--version*) exit 0;; esac', "fused.so"),
        ('if [ "$1" = --version ]; then exit 0; fi; for last; do shift; done; exit 0', "fused.so"),
        ('while [ $# -gt 1 ]; do if [ "$1" = -o ]; then echo garbage > "$2"; fi; shift; done', "fused.so"),
    ],
)
def test_a_broken_compiler_is_done_without(cache, compiler, caplog, script, told):
    compiler(script)
    assert load() is None
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert line.startswith("fused losses are not compiled, and take longer: ")
    assert told in line
    assert PixelKLLoss(1.0).fuse([], device=torch.device("cpu"), compiled=True).how == "block by block"
    assert not cache.exists()


def test_no_compiler_is_done_without(monkeypatch, tmp_path, caplog):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert load() is None
    assert "no C compiler: neither $CC, cc, gcc nor clang is found" in caplog.text
    monkeypatch.setenv("CC", "no-such-compiler")
    assert load() is None
    assert "no-such-compiler" in caplog.text


def test_a_compiler_that_never_ends_is_done_without(compiler, monkeypatch, caplog):
    monkeypatch.setattr(build, "_SECONDS", 0.2)
    compiler("exec sleep 60")
    assert load() is None
    assert "timed out after 0.2 seconds" in caplog.text


def test_a_compiler_that_does_not_know_the_processor_compiles_without(cache, compiler):
    compiler(
        'for one; do if [ "$one" = -march=native ]; then echo "bad value" >&2; exit 1; fi; done; exec "$REAL" "$@"'
    )
    assert load() is not None
    assert len(objects(cache)) == 1


@pytest.mark.parametrize(
    "damage", [lambda content: content[: len(content) // 2], lambda content: b"", lambda content: content + b"x"]
)
def test_a_damaged_object_is_compiled_again(cache, caplog, damage):
    assert load() is not None
    (path,) = objects(cache)
    content = path.read_bytes()
    path.unlink()  # the loaded one must keep its own
    path.write_bytes(damage(content))
    assert load() is not None
    assert f"{path}: damaged" in caplog.text
    assert any(build._name(one.name.split("-")[1], one.read_bytes()) == one.name for one in objects(cache))


def test_what_a_killed_compiler_left_does_no_harm(cache):
    assert load() is not None
    (path,) = objects(cache)
    content = path.read_bytes()
    path.unlink()
    (cache / f".{path.name}.123").write_bytes(content[:100])
    assert load() is not None


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KDSEG_CACHE", str(tmp_path / "file"))
    assert load() is not None
    assert "cannot be written (Not a directory); each run compiles the fused losses anew" in caplog.text


def test_several_processes_may_begin_at_once(cache):
    command = [sys.executable, "-c", "from kdseg_losses.build import library; assert library() is not None"]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(100) for process in processes] == [0, 0, 0]
    assert list(cache.iterdir()) == objects(cache)
