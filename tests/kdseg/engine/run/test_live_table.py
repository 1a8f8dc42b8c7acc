"""What a person who watches a run sees, on a terminal that pyte pretends to be."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import struct
import sys
import termios
import time

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from kdseg.engine.run.live_table import LiveTable, progress_on
from kdseg.engine.run.plain_lines import PlainLines
from kdseg.engine.run.run_table import BLOCKS, POINTS, Curve, RunTable
from kdseg.hooks import Hooks

RECIPE = """
[models.teacher]
frozen = true
backbone = { use = "tiny", width = 6 }
weights = { run = "TEACHER" }
[models.student]
backbone = "tiny"
[models.shadow]
shadow_of = "student"
[terms.labels]
learner = "student"
loss = "cross_entropy"
[terms.mimic]
learner = "student"
source = "teacher"
loss = "pixel_kl"
[train]
steps = 6
[data]
dataset = { use = "squares", images = 8 }
[evaluate]
every = 3
unit = "step"
"""
TEACHER = """
[models.teacher]
backbone = { use = "tiny", width = 6 }
[terms.labels]
learner = "teacher"
loss = "cross_entropy"
[train]
steps = 1
[data]
dataset = { use = "squares", images = 8 }
"""


@given(st.lists(st.floats(-1e3, 1e3), max_size=300))
def test_a_curve_is_the_means_of_equal_stretches(values):
    curve = Curve()
    for value in values:
        curve.add(value)
    each = 1
    while len(values) // each >= 2 * POINTS:
        each *= 2
    whole = len(values) // each
    means = [sum(values[n * each : (n + 1) * each]) / each for n in range(whole)]
    assert curve.points == pytest.approx(means, abs=1e-9)
    assert len(str(curve)) == min(whole, POINTS)


def test_a_curve_goes_from_the_lowest_block_to_the_highest_and_leaves_out_what_is_no_number():
    curve = Curve()
    for value in (0, 7, float("nan"), 3, float("inf")):
        curve.add(value)
    assert str(curve) == f"{BLOCKS[0]}{BLOCKS[7]} {BLOCKS[3]} "
    level = Curve(points=[2.0, 2.0])
    assert str(level) == BLOCKS[0] * 2
    assert str(Curve()) == ""


class Draw(Hooks):
    """Draws the table after each evaluation, for windows of several widths."""

    def __init__(self):
        self.drawn, self.values = {}, {}

    def on_run_start(self, run):
        self.table = RunTable(run)

    def on_step_end(self, run):
        self.table.take_step()

    def on_evaluation_end(self, run):
        self.table.take_scores()
        self.values[run.step] = dict(run.values)
        for width in (30, 80, 120):
            out = Console(file=io.StringIO(), width=width)
            out.print(self.table)
            self.drawn[run.step, width] = out.file.getvalue().splitlines()


@pytest.fixture
def drawn(train):
    teacher = train(TEACHER, name="first")
    draw = Draw()
    train(RECIPE.replace("TEACHER", str(teacher.folder)), watcher=draw)
    return draw


GATED = """
[models.anna]
backbone = "tiny"
[models.berta]
backbone = "tiny"
[turns]
order = ["a", "b"]
gate = { use = "dice", seed = 5 }
[terms.anna-labels]
turn = "a"
learner = "anna"
loss = "cross_entropy"
[terms.berta-labels]
turn = "b"
learner = "berta"
loss = "cross_entropy"
[train]
steps = 16
[evaluate]
every = 16
unit = "step"
"""


def test_where_a_gate_chooses_each_value_goes_to_the_term_that_has_it(train, lines):
    draw = Draw()
    written = lines(train(GATED, watcher=draw), "step")
    assert len({line["turn"] for line in written}) == 2
    for label in ("anna-labels", "berta-labels"):
        key = f"loss/{label}"
        assert draw.table._losses[label].points == [line[key] for line in written if key in line]


def test_the_table_holds_each_participant_with_its_terms_rate_and_scores(drawn):
    lines, values = drawn.drawn[6, 120], drawn.values[6]
    assert lines[1].startswith("step 6/6 · epoch 3 · 0:0")
    rows = {line.split()[0]: line for line in lines if re.match(r"(teacher|student|shadow) ", line)}
    assert re.search(rf"frozen .* {values['val/teacher/miou']:.3f}", rows["teacher"])
    assert "of student" in rows["shadow"]
    assert f"labels {values['loss/labels']:.3g}" in rows["student"]
    assert f"{values['lr/student']:.2g}" in rows["student"]
    assert f"{values['val/student/miou']:.3f}" in rows["student"]
    below = lines[lines.index(rows["student"]) + 1]
    assert f"mimic {values['loss/mimic']:.3g}" in below
    assert set(BLOCKS) & set(below)


def test_a_narrow_window_is_given_less_and_never_more_than_its_width(drawn):
    for (_, width), lines in drawn.drawn.items():
        assert max(map(len, lines)) <= width
    narrow = "\n".join(drawn.drawn[6, 30])
    assert not set(BLOCKS) & set(narrow)
    assert "frozen" not in narrow
    assert "student" in narrow


def test_lines_are_for_what_is_no_terminal():
    assert type(progress_on(Console(file=io.StringIO()))) is PlainLines
    assert type(progress_on(Console(file=io.StringIO(), force_terminal=True))) is LiveTable


JOB = """
[models.student]
backbone = "tiny"
[terms.labels]
learner = "student"
loss = "cross_entropy"
[train]
steps = 600
batch_size = 4
[data]
dataset = { use = "squares", images = 8 }
[evaluate]
every = 100
unit = "step"
"""


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_real_run_on_a_terminal_that_is_resized_leaves_it_clean(load, monkeypatch):
    """A process on a pseudo-terminal: the table is there, follows the window, and is gone at the end."""
    monkeypatch.delenv("COLUMNS", raising=False)  # which pytest-xdist sets, and which goes before the window's own
    loaded = load(JOB)
    child, handle = pty.fork()
    if child == 0:
        code = 1
        try:
            code = watched(loaded)
        finally:
            os._exit(code)
    screen = pyte.Screen(120, 24)
    resize(handle, 120, 24)
    whole = re.compile(r"waiting for data(.|\n)*student \S+ +\S+ +labels \S+ +[▁-█]+ .* best ")
    assert follow(handle, screen, until=whole.search), text_of(screen)
    resize(handle, 50, 24)
    screen.resize(24, 50)
    narrow = follow(handle, screen, until=lambda text: re.search(r"student \S+ +labels \S+ +[01]\.\d+", text))
    assert narrow, text_of(screen)
    follow(handle, screen, until=lambda _: False)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert re.search(r"step 600/600  miou  student [01]\.\d{3}", text_of(screen))
    assert "waiting for data" not in text_of(screen)
    assert not screen.cursor.hidden


def watched(loaded):
    """Run on standard error, as the command line does."""
    from kdseg.engine.run.start import run_recipe

    console = Console(file=sys.__stderr__)
    run_recipe(loaded, console=lambda: progress_on(console))
    return 0


def resize(handle, columns, rows):
    fcntl.ioctl(handle, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def text_of(screen):
    return "\n".join(line.rstrip() for line in screen.display)


def follow(handle, screen, until):
    """Let the terminal take what the process writes, until it shows something, or the process has ended."""
    stream, deadline = pyte.ByteStream(screen), time.monotonic() + 120
    while time.monotonic() < deadline:
        if not select.select([handle], [], [], 1)[0]:
            continue
        try:
            data = os.read(handle, 1024)  # few: what a busy machine delays is still seen piece by piece
        except OSError:  # the other end is closed
            return False
        if not data:
            return False
        stream.feed(data)
        if until(text_of(screen)):
            return True
    raise AssertionError(f"nothing came of it: {text_of(screen)}")
