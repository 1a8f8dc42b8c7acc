"""`run` and `resume`: what they print, how they end, and how a stopped run goes on."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kdseg import load

CALLBACK = 'use = "checkpoint"\nkeep = 1'
NO_CALLBACK = CALLBACK, 'use = "signalled"'
LEFT = {
    ".lock",
    "checkpoints",
    "confusion",
    "environment.json",
    "log.txt",
    "metrics.jsonl",
    "models",
    "models-best",
    "pictures",
    "plugins",
    "recipe.toml",
    "report.html",
    "summary.json",
}


def strict_json(text):
    """Read JSON as a strict reader does: no NaN, no Infinity."""

    def refuse(constant):
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def parameters(run, name):
    return sum(parameter.numel() for parameter in load(run, name).parameters())


# What a run prints


def test_run_prints_a_table_and_where_everything_lies(kdseg, folder, write):
    write()
    status, out, err = kdseg("run", "recipe.toml")
    assert status == 0
    lines = out.splitlines()
    assert re.fullmatch(r"job: 6 steps in \d+m \d\ds", lines[0])
    rows = [re.split(r"  +", line.strip()) for line in lines[1:4]]
    assert rows[0] == ["participant", "backbone", "parameters", "steps", "miou", "pixel accuracy", "best miou"]
    assert [row[:4] for row in rows[1:]] == [
        ["teacher", "kdseg/unet", f"{parameters(folder / 'runs/job', 'teacher') / 1e6:.3f}M", "3"],
        ["student", "kdseg/unet", f"{parameters(folder / 'runs/job', 'student') / 1e6:.3f}M", "3"],
    ]
    for row in rows[1:]:
        assert re.fullmatch(r"0\.\d{4} at step [36]", row[6])
    places = [re.split(r"  +", line.strip())[1] for line in lines[5:]]
    assert len(places) == 5
    assert all(Path(place).exists() for place in places)
    assert {path.name for path in (folder / "runs/job/latest").iterdir()} == LEFT
    assert "\x1b" not in out + err


def test_run_tells_its_progress_in_plain_lines_where_nobody_watches(kdseg, write):
    write()
    lines = [line for line in kdseg("run", "recipe.toml").err.splitlines() if not line.startswith("malloc: ")]
    score = r"miou 0\.\d{3}  \w+ pixel_accuracy 0\.\d{3}"
    expected = [
        r"runs/job/[0-9-]+: 6 steps; teacher [\d.]+M, student [\d.]+M",
        rf"step 3/6  epoch 2  teacher {score}  student {score}",
        r"terms\.mimic and terms\.labels: computed (in one compiled pass|block by block)",
        rf"step 6/6  epoch 3  teacher {score}  student {score}",
    ]
    assert len(lines) == 4
    assert all(re.fullmatch(pattern, line) for pattern, line in zip(expected, lines, strict=True))


def test_json_tells_the_same_to_programs(kdseg, folder, write):
    write()
    status, out, _ = kdseg("run", "recipe.toml", "--json")
    assert status == 0
    summary = strict_json(out)
    run = Path(summary["folder"])
    assert run == (folder / "runs/job/latest").resolve()
    assert summary == strict_json((run / "summary.json").read_text())
    assert (summary["name"], summary["steps"], summary["stopped"], summary["metric"]) == ("job", 6, None, "miou")
    assert list(summary["participants"]) == ["teacher", "student"]
    evaluations = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    evaluations = [line for line in evaluations if line["kind"] == "evaluation"]
    for name, participant in summary["participants"].items():
        assert participant["parameters"] == parameters(run, name)
        assert (participant["backbone"], participant["steps"]) == ("kdseg/unet", 3)
        assert participant["miou"] == evaluations[-1][f"val/{name}/miou"]
        assert participant["pixel_accuracy"] == evaluations[-1][f"val/{name}/pixel_accuracy"]
        best = max(evaluations, key=lambda line: line[f"val/{name}/miou"])
        assert participant["best"] == {"step": best["step"], "value": best[f"val/{name}/miou"]}


def test_a_score_that_nothing_counts_for_is_null(kdseg, write):
    write(("images = 8 }", 'images = 8 }\nval = { labels = "ignored" }'), NO_CALLBACK)
    status, out, _ = kdseg("run", "recipe.toml", "--json")
    assert status == 0
    assert strict_json(out)["participants"]["student"]["miou"] is None


def test_a_setting_holds_and_is_saved(kdseg, folder, write):
    write()
    out = kdseg("run", "recipe.toml", "--json", "--set", "train.steps=4", "--set", "name=other").out
    assert strict_json(out)["steps"] == 4
    assert "steps = 4" in (folder / "runs/other/latest/recipe.toml").read_text()


def test_each_run_has_its_own_folder_and_latest_is_the_newest(kdseg, folder, write):
    write(("steps = 6", "steps = 2"))
    runs = [Path(strict_json(kdseg("run", "recipe.toml", "--json").out)["folder"]) for _ in range(3)]
    assert len(set(runs)) == 3
    assert sorted(runs) == runs
    assert (folder / "runs/job/latest").resolve() == runs[-1]


def test_the_saved_recipe_gives_the_same_run(kdseg, folder, write):
    write()
    first = Path(strict_json(kdseg("run", "recipe.toml", "--json").out)["folder"])
    again = Path(strict_json(kdseg("run", str(first / "recipe.toml"), "--json").out)["folder"])
    assert again != first
    for name in ("teacher", "student"):
        weights = [(run / "models" / name / "last.safetensors").read_bytes() for run in (first, again)]
        assert weights[0] == weights[1]


def test_training_that_diverges_ends_with_the_step_and_a_mend(kdseg, write, monkeypatch):
    write()
    monkeypatch.setattr("kdseg_losses.logit.PixelKLLoss.pixel_map", lambda _, learner, *__: learner[:, 0] / 0)
    status, out, err = kdseg("run", "recipe.toml")
    assert (status, out) == (2, "")
    last = err.splitlines()[-1]
    assert re.match(r"step \d: loss/\w+ is (nan|inf): training diverged\. A lower learning rate, `clip`", last)


# How a stopped run goes on


def stopped(number):
    return CALLBACK, f'use = "signalled"\nnumber = {number}\nstep = 2'


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_run_with_its_status_and_a_word_on_how_to_go_on(kdseg, folder, write, number, status):
    write(stopped(int(number)))
    ended = kdseg("run", "recipe.toml")
    assert (ended.status, ended.out) == (status, "")
    run = (folder / "runs/job/latest").resolve().relative_to(folder)
    assert f"warning: {number.name}: stopping after this step, with a checkpoint" in ended.err.splitlines()
    assert f"to go on from the last checkpoint: kdseg resume {run}" in ended.err.splitlines()
    assert not (run / "summary.json").exists()


class SignalInTheMidst(io.RawIOBase):
    """A console that gets a signal while a line of the run is being written to it."""

    def __init__(self):
        self.written = b""
        self.signalled = False

    def writable(self):
        return True

    def write(self, data):
        if b"step 3/6" in bytes(data) and not self.signalled:
            self.signalled = True
            signal.raise_signal(signal.SIGTERM)
        self.written += bytes(data)
        return len(data)


def test_a_signal_in_the_midst_of_a_line_garbles_nothing(kdseg, write, monkeypatch):
    """Python refuses to write to a stream that is being written to, and rich would write what it holds again."""
    write()
    console = SignalInTheMidst()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(console), line_buffering=True))
    assert kdseg("run", "recipe.toml").status == 143
    lines = [line for line in console.written.decode().splitlines() if not line.startswith("malloc: ")]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["step", "3/6"],
        ["warning:", "SIGTERM:"],
        ["to", "go"],
    ]


@pytest.mark.parametrize("words", [("resume", "runs/job"), ("run", "recipe.toml", "--resume")])
def test_a_stopped_run_goes_on_as_if_it_had_never_stopped(kdseg, folder, write, words):
    write(NO_CALLBACK)
    whole = Path(strict_json(kdseg("run", "recipe.toml", "--json").out)["folder"])
    write(stopped(15))
    assert kdseg("run", "recipe.toml").status == 143
    halted = (folder / "runs/job/latest").resolve()
    status, out, err = kdseg(*words, "--json")
    assert status == 0
    assert "resumed at step 2 of 6" in err
    summary = strict_json(out)
    assert (Path(summary["folder"]), summary["steps"]) == (halted, 6)
    for name in ("teacher", "student"):
        weights = [(run / "models" / name / "last.safetensors").read_bytes() for run in (whole, halted)]
        assert weights[0] == weights[1]


def test_resume_starts_a_run_where_none_of_this_very_recipe_is_unfinished(kdseg, folder, write):
    write(stopped(15))
    first = kdseg("run", "recipe.toml", "--resume")
    assert first.status == 143  # there was none, so one began
    halted = (folder / "runs/job/latest").resolve()
    out = kdseg("run", "recipe.toml", "--resume", "--json", "--set", "seed=4", "--set", "callbacks.best.step=0").out
    other = Path(strict_json(out)["folder"])
    assert other != halted
    assert strict_json(kdseg("run", "recipe.toml", "--resume", "--json").out)["folder"] == str(halted)
    assert kdseg("run", "recipe.toml", "--resume").status == 143  # that one is finished, so a third began
    assert len(list((folder / "runs/job").glob("[0-9]*"))) == 3


def test_what_cannot_be_resumed_is_told(kdseg, folder, finished):
    run = (finished / "latest").resolve()
    assert kdseg("resume", str(finished)) == (2, "", f"{run}: finished; there is nothing to resume\n")
    status, _, err = kdseg("resume", "runs/nothing")
    assert status == 2
    assert err.startswith("runs/nothing: no run here (no recipe.toml); a run's folder is FOLDER/NAME/TIMESTAMP")


# In a process of its own


@pytest.fixture
def start(folder, write):
    """Start a run without end."""
    write(("steps = 6", "steps = 100000"), ("every = 3", "every = 10"))
    children = []

    def start(**streams):
        command = [sys.executable, "-m", "kdseg", "run", "recipe.toml", "--set", "checkpoint.every=100000"]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "TERM": "xterm-256color"}
        child = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, **streams)
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


def test_ctrl_c_at_a_terminal_ends_with_130_and_leaves_the_bar(start):
    ours, theirs = pty.openpty()
    child = start(stdin=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    shown = b""
    watchdog = threading.Timer(120, child.kill)
    watchdog.start()
    while b"images/s" not in shown:  # a bar with its rate, where a person watches
        shown += os.read(ours, 4096)
    child.send_signal(signal.SIGINT)
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # the other end is closed
        pass
    watchdog.cancel()
    assert child.wait(60) == 130
    assert b"\x1b[" in shown
    assert b"kdseg resume runs/job/" in shown
    os.close(ours)
