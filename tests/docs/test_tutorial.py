"""The tutorial, typed in: every file, command and line of Python in its order, and what it says that they print."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

IN_PROCESS = ("train.workers=0",)
"""Loaders fork, which Python advises against in a process with threads, as pytest's is here. Batches are the same."""
SHORT = ("train.steps_of.student=4", "train.batch_size=2", "data.val.images=4")
"""Settings with which a run ends in seconds; where they are given, the numbers that are printed differ."""
SHORT_MAIN_JOB = ("models.teacher.backbone.base=4", "evaluate.every=6", "checkpoint.every=6")
"""Further settings of the first run."""
LONG_ENOUGH = ("train.steps_of.student=16",)
"""Further settings of a run that is to be stopped on its way."""


class Terminal:
    """Takes what the tutorial says, as if a person typed it."""

    def __init__(self, folder, kdseg, capsys):
        self.folder, self.kdseg, self.capsys = folder, kdseg, capsys
        self.names = {}
        self.printed = []
        self.shortened = False

    def type(self, block):
        """Do what a block says."""
        if block.file:
            (self.folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            self.capsys.readouterr()
            exec(compile(block.text, f"tutorial.md:{block.line}", "exec"), self.names)
            self.printed = [*self.capsys.readouterr()]
        elif block.language == "sh":
            self.shortened = False
            self.printed = [self.command(line) for line in block.text.splitlines()]
        elif block.language == "text":
            self.expect(block)

    def command(self, line):
        """Run one line of a shell, and give what it prints. A comment may say that it does not simply succeed."""
        words = shlex.split(line, comments=True)
        if words[0] != "kdseg":
            return subprocess.run(words, check=True, capture_output=True, text=True).stdout
        if words[1] == "run":
            self.shortened = True
            settings = [*IN_PROCESS, *SHORT]
            settings += SHORT_MAIN_JOB if "online_alternating" in line else ()
            settings += LONG_ENOUGH if "Ctrl-C" in line else ()
            words += [word for setting in settings for word in ("--set", setting)]
        if "Ctrl-C" in line:
            return self.interrupt(words[1:])
        status, out, err = self.kdseg(*words[1:])
        assert status == (2 if "# finds" in line else 0), f"{line}\n{out}{err}"
        return out + err

    def interrupt(self, words):
        """Run a command in a process of its own, and press Ctrl-C when it has taken some steps."""
        before = set(self.folder.glob("runs/*/*/metrics.jsonl"))
        command = [sys.executable, "-m", "kdseg", *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            while process.poll() is None and not set(self.folder.glob("runs/*/*/metrics.jsonl")) - before:
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            printed = process.communicate()[0]
        assert process.returncode == 128 + signal.SIGINT, printed
        return printed

    def expect(self, block):
        """See that each line of a block was printed. An ellipsis stands for anything."""
        printed = [" ".join(line.split()) for text in self.printed for line in text.splitlines()]
        for line in block.text.splitlines():
            pattern = re.escape(" ".join(line.split())).replace("…", ".*")
            if self.shortened:
                pattern = re.sub(r"\d(\d|\\\.)*", r"[\\d.]+", pattern)
            assert any(re.fullmatch(pattern, found) for found in printed), (
                f"tutorial.md:{block.line}: {line!r} is not among\n" + "\n".join(printed)
            )


@pytest.fixture
def terminal(tmp_path, root, monkeypatch, kdseg, capsys):
    """A terminal in a folder with the recipes of the project and a photograph."""
    import cv2
    import numpy as np

    shutil.copytree(root / "recipes", tmp_path / "recipes")
    (tmp_path / "photos").mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (75, 133, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photos" / "street.png"), picture)
    monkeypatch.chdir(tmp_path)
    return Terminal(tmp_path, kdseg, capsys)


def test_the_tutorial_works_as_it_stands(terminal, pages):
    page = pages["docs/tutorial.md"]
    for block in page.blocks:
        terminal.type(block)

    (tree,) = [block.text for block in page.blocks if "──" in block.text]
    run = next(terminal.folder.glob("runs/online_alternating/2*"))
    named = set(re.findall(r"── ([\w.]+)", tree)) - {"TIMESTAMP", "latest"}
    assert {path.name for path in run.iterdir()} - {".lock"} == named - {"comparison.png"}
    assert (run / "pictures" / "comparison.png").exists()
    assert (terminal.folder / "predictions" / "street_overlay.png").exists()
    assert (terminal.folder / "runs" / "my_loss" / "latest" / "plugins" / "my_losses.py").exists()
