from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import click
import pytest

from kdseg import cli
from kdseg.errors import KdsegError


@pytest.fixture
def raising(monkeypatch):
    """Let the verb `show` raise a given error."""

    def install(error: BaseException) -> None:
        @click.command("show")
        def command() -> None:
            raise error

        monkeypatch.setattr("kdseg.cli.show.command", command)

    return install


def test_each_verb_is_a_file_that_defines_a_command_with_help(kdseg):
    files = {path.stem for path in Path(cli.__file__).parent.glob("[a-z]*.py")}
    assert {verb.replace("-", "_") for verb in cli.verbs()} == files
    out = kdseg("--help").out
    for verb in cli.verbs():
        assert cli._verb(verb).help
        assert f"\n  {verb} " in out
        assert "--debug" in kdseg(verb, "--help").out


def test_version(kdseg):
    assert kdseg("--version").out == f"kdseg {metadata.version('kdseg')}\n"


def test_an_unknown_verb_suggests_the_nearest(kdseg):
    status, out, err = kdseg("list-plugin")
    assert (status, out) == (2, "")
    assert "unknown verb 'list-plugin'; did you mean 'list-plugins'?" in err


def test_a_mistake_is_told_plain_and_exits_with_2(kdseg, raising):
    text = "recipe.toml:3: [red]models[/]: " + "a long line " * 30
    raising(KdsegError(text))
    assert kdseg("show") == (2, "", f"{text}\n")


@pytest.mark.parametrize("words", [["--debug", "show"], ["show", "--debug"]])
def test_debug_adds_the_traceback(kdseg, raising, words):
    raising(KdsegError("a mistake"))
    status, _, err = kdseg(*words)
    assert status == 2
    assert err.startswith("Traceback")
    assert err.endswith("KdsegError: a mistake\n")


def test_ctrl_c_exits_with_130(kdseg, raising):
    raising(KeyboardInterrupt())
    assert kdseg("show").status == 130


def test_a_verb_may_choose_its_status(kdseg, raising):
    raising(SystemExit(143))
    assert kdseg("show").status == 143


def test_a_fault_of_kdseg_keeps_its_traceback_and_exits_with_1():
    script = (
        "import kdseg.cli, kdseg.plugins\n"
        "def load_plugins(): raise RuntimeError('a fault')\n"
        "kdseg.plugins.load_plugins = load_plugins\n"
        "kdseg.cli.main(['list-plugins'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("RuntimeError: a fault\n")


def test_the_module_runs_as_the_command_does():
    done = subprocess.run([sys.executable, "-m", "kdseg", "shwo"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "did you mean 'show'?" in done.stderr
    assert done.stderr.startswith("Usage: kdseg ")
