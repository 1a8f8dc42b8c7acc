"""Processes: as many at once as asked, teachers first, failures told, signals passed on, none at one run twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from attrs import define, field

from kdseg.engine.study.children import Children, Watch, study_lock
from kdseg.errors import KdsegError

STAND_IN = '''
"""Takes the place of kdseg in the processes of these tests: it is quick, and says when it was there."""
import os, signal, sys, time
_, name, seconds, status = sys.argv[1:]
def note(what):
    with open("diary", "a") as file:
        file.write(f"{what} {name} {os.environ.get('OMP_NUM_THREADS')}\\n")
def leave(number, frame):
    note("stopped")
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, leave)
note("began")
with open(f"place-{name}", "w") as file:
    file.write(f"{os.environ.get('WANDB_RUN_GROUP')}, {os.environ.get('WANDB_JOB_TYPE')}")
deadline = time.monotonic() + float(seconds)
while time.monotonic() < deadline:
    time.sleep(0.01)
note("ended")
if int(status):
    print("a line\\n\\nthe mistake", file=sys.stderr)
    sys.exit(int(status))
open(f"done-{name}", "w").close()
'''


@define(eq=False)
class Stub:
    """A run as `Children` knows it."""

    name: str
    seconds: float = 0.0
    status: int = 0
    needs: tuple = ()
    label: str = "arm"
    seed: int = 0
    file: Path = field(init=False)

    def __attrs_post_init__(self):
        self.file = Path(f"{self.name}.toml")

    def finished(self):
        path = Path(f"done-{self.name}")
        return path if path.exists() else None

    def write(self):
        pass

    def words(self):
        return ("run", self.name, str(self.seconds), str(self.status))


class Record(Watch):
    def __init__(self):
        self.told = []

    def waits(self, run):
        self.told.append(("waits", run.name))

    def ended(self, run, seconds, failure):
        self.told.append(("ended", run.name, failure))

    def stopping(self, number):
        self.told.append(("stopping", number))


@pytest.fixture
def record(folder, monkeypatch):
    (folder / "kdseg.py").write_text(STAND_IN)  # the working folder comes first on a child's path
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return Record()


@pytest.fixture
def make(folder, record):
    def make(*runs, jobs=1):
        children = Children(folder=folder / "sweep", jobs=jobs, watch=record)
        children.make(runs)
        return children

    return make


def diary():
    return [tuple(line.split()) for line in Path("diary").read_text().splitlines()]


def at_once():
    """Give the most processes that were there at one time."""
    under_way = most = 0
    for what, *_ in diary():
        under_way += {"began": 1}.get(what, -1)
        most = max(most, under_way)
    return most


@pytest.mark.parametrize("jobs", [1, 2])
def test_so_many_are_at_work_at_once_with_their_share_of_the_cores(make, jobs):
    make(*(Stub(f"r{n}", seconds=0.4) for n in range(4)), jobs=jobs)
    assert at_once() == jobs
    assert {threads for *_, threads in diary()} == {str(max(len(os.sched_getaffinity(0)) // jobs, 1))}


def test_weights_and_biases_is_told_where_a_run_belongs_unless_the_user_says_so(make, monkeypatch):
    make(Stub("run", label="mimic lr=0.1", needs=(Stub("teacher", label=""),)))
    assert Path("place-run").read_text() == "sweep, mimic lr=0.1"
    assert Path("place-teacher").read_text() == "sweep, teacher"
    monkeypatch.setenv("WANDB_RUN_GROUP", "mine")
    make(Stub("other", label="a" * 100))
    assert Path("place-other").read_text() == f"mine, {'a' * 64}"


def test_what_is_finished_is_not_made_again_nor_a_teacher_that_nobody_needs(make):
    Path("done-there").touch()
    make(Stub("there", needs=(Stub("teacher", label=""),)), Stub("missing"))
    assert [name for what, name, _ in diary() if what == "began"] == ["missing"]


def test_a_teacher_of_several_is_trained_once_and_first(make):
    teacher = Stub("teacher", seconds=0.3, label="")
    make(Stub("a", needs=(teacher,)), Stub("b", needs=(teacher,)), jobs=2)
    assert [(what, name) for what, name, _ in diary()][:2] == [("began", "teacher"), ("ended", "teacher")]
    assert sorted(name for what, name, _ in diary() if what == "began") == ["a", "b", "teacher"]


def test_one_that_fails_is_told_and_the_others_go_on(make, record):
    teacher = Stub("teacher", status=2, label="")
    children = make(teacher_needing := Stub("a", needs=(teacher,)), Stub("b"), Stub("c", status=1))
    assert children.failures == {
        "teacher": "a line\nthe mistake\nended with status 2",
        teacher_needing.name: "its teacher teacher failed",
        "c": "a line\nthe mistake\nended with status 1",
    }
    assert ("ended", "b", None) in record.told


def test_one_that_is_killed_is_told(make):
    def kill():
        while not Path("diary").exists():
            time.sleep(0.01)
        pid = int(subprocess.check_output(["pgrep", "-P", str(os.getpid()), "-f", "run killed"]).split()[0])
        os.kill(pid, signal.SIGKILL)

    threading.Thread(target=kill).start()
    assert make(Stub("killed", seconds=60)).failures == {"killed": "killed by SIGKILL"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_and_waited_for(make, record, number):
    over = threading.Event()

    def send():
        while not Path("diary").exists() or len(diary()) < 2:
            if over.wait(0.01):  # nobody would catch the signal any more
                return
        os.kill(os.getpid(), number)

    threading.Thread(target=send).start()
    try:
        with pytest.raises(SystemExit) as end:
            make(Stub("a", seconds=60), Stub("b", seconds=60), Stub("c"), jobs=2)
    finally:
        over.set()
    assert end.value.code == 128 + number
    assert record.told == [("stopping", number)]
    assert sorted((what, name) for what, name, _ in diary() if what != "began") == [("stopped", "a"), ("stopped", "b")]


def test_a_process_that_outlived_its_sweep_is_waited_for(make, record, folder):
    script = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "from pathlib import Path\n"
        "from tests_stub import Stub, Children, Watch\n"
        "Children(folder=Path('sweep'), jobs=1, watch=Watch()).make([Stub('long', seconds=2)])\n"
    )
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "tests_stub.py").write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
    # -P keeps the stand-in of kdseg, in the working folder, out of this process.
    parent = subprocess.Popen([sys.executable, "-P", "-c", script, str(folder / "elsewhere")], start_new_session=True)
    while not Path("diary").exists():
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    make(Stub("long", seconds=2))
    assert record.told == [("waits", "long"), ("ended", "long", None)]
    assert [(what, name) for what, name, _ in diary()] == [("began", "long"), ("ended", "long")]


def test_a_sweep_has_one_process(folder):
    with (
        study_lock(folder / "sweep"),
        pytest.raises(KdsegError, match="sweep: another process makes runs in it"),
        study_lock(folder / "sweep"),
    ):
        pass
    with study_lock(folder / "sweep"):
        pass
