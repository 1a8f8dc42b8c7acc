from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from kdseg.hooks import Hooks

RECIPE = """
plugins = ["parts.py"]
seed = 3
train = {{ steps = 8, batch_size = 4, workers = {workers} }}
data = {{ dataset = "{dataset}" }}
evaluate = {{ every = 3, unit = "step" }}
checkpoint = {{ every = 2, unit = "step" }}
output = {{ folder = "runs" }}
[models.student]
backbone = "small"
optimizer = {{ use = "AdamW", lr = 0.01 }}
[terms.labels]
learner = "student"
loss = {loss}
{more}
"""


class Told(NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


def in_fork(function: Callable[[], object], seconds: float = 60) -> int:
    """Call a function in a forked process that leads a session of its own, and give its status, or minus its signal.

    Nothing of that session may outlive it.
    """

    def work() -> None:
        os.setsid()
        function()

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(seconds)
    hangs = child.exitcode is None
    orphans = [] if child.pid is None else _session(child.pid) - ({child.pid} if hangs else set())
    for pid in orphans | ({child.pid} if hangs else set()):
        os.kill(pid, signal.SIGKILL)
    assert not hangs, "it hangs"
    assert not orphans, "it left processes behind"
    assert child.exitcode is not None
    return child.exitcode


def _session(leader: int) -> set[int]:
    """Give the processes of a session that live."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = entry.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == leader and state != "Z":
            found.add(int(entry.parent.name))
    return found


def run_forked(*words: str, watcher: Hooks | None = None, before: Callable[[], object] = lambda: None) -> Told:
    """Run the command line in a forked process, with a watcher of the run beside the console."""
    import torch

    from kdseg.cli import main
    from kdseg.engine.run import live_table

    def work() -> None:
        for number, name in ((1, "out"), (2, "err")):
            handle = os.open(f"{name}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(handle, number)
            os.close(handle)
        sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115 (for life)
        torch.set_num_threads(1)
        shown = live_table.progress_on
        if watcher is not None:
            live_table.progress_on = lambda console: _both(shown(console), watcher)
        before()
        main([*words])

    status = in_fork(work)
    return Told(status, Path("out.txt").read_text(), Path("err.txt").read_text())


def _both(first: Hooks, second: Hooks) -> Hooks:
    """Give one watcher that tells two."""
    from kdseg.hooks import Hooks

    both = Hooks()
    for event in (name for name in vars(Hooks) if name.startswith("on_")):

        def tell(*args: object, event: str = event) -> None:
            getattr(first, event)(*args)
            getattr(second, event)(*args)

        setattr(both, event, tell)
    return both


def act_at(event: str, step: int, act: Callable[[Any], object]) -> Hooks:
    """Give a watcher that acts on the run at an event after a step."""
    from kdseg.hooks import Hooks

    watcher = Hooks()

    def hear(run: Any, *_args: object) -> None:
        if run.step == step:
            act(run)

    setattr(watcher, event, hear)
    return watcher


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Load all that a run needs, by a run, before anything is forked: so no child has to."""
    from kdseg.cli import _console, run  # noqa: F401 (loaded, no more)
    from kdseg.engine.run import live_table  # noqa: F401 (likewise)
    from kdseg.engine.run.start import run_recipe
    from kdseg.recipe.load import load_recipe

    folder = tmp_path_factory.mktemp("warm")
    shutil.copy(Path(__file__).parent / "parts.py", folder)
    (folder / "job.toml").write_text(RECIPE.format(more="", workers=0, dataset="faulty", loss='"cross_entropy"'))
    run_recipe(load_recipe(folder / "job.toml"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm: None) -> Path:
    """A working folder with the plugin file."""
    shutil.copy(Path(__file__).parent / "parts.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda _handle: None)  # no test pulls the plug, and it takes most of the time
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Callable[..., None]:
    """Write a recipe of eight steps, evaluations every 3, checkpoints every 2."""

    def write(
        more: str = "", *, name: str = "job", workers: int = 0, dataset: str = "faulty", loss: str = '"cross_entropy"'
    ) -> None:
        text = RECIPE.format(more=more, workers=workers, dataset=dataset, loss=loss)
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")

    return write


@frozen
class Job:
    """The newest run of a recipe."""

    name: str = "job"

    @property
    def folder(self) -> Path:
        return Path("runs", self.name, "latest").resolve()

    def kept(self) -> list[int]:
        """Give the steps of its checkpoints; nothing else may lie beside them, and all are whole."""
        from kdseg.engine.folders.checkpoint import whole_checkpoints

        found = list((self.folder / "checkpoints").glob("*"))
        assert set(whole_checkpoints(self.folder / "checkpoints")) == set(found)
        return sorted(int(path.name.removeprefix("step-")) for path in found)

    def end(self) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
        """Give all that it ends with that no clock shows in: models, pictures, the lines of its metrics."""
        suffixes = {".safetensors", ".png"}
        files = {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.suffix in suffixes
        }
        lines = [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]
        assert files
        assert (self.folder / "summary.json").exists()
        times = ("seconds", "data_seconds")
        return files, [{key: value for key, value in line.items() if key not in times} for line in lines]


@pytest.fixture
def job() -> type[Job]:
    return Job


WHOLE: dict[str, Any] = {}
"""What each recipe ends with when nothing befalls it."""


@pytest.fixture
def assert_resumes(folder: Path) -> Callable[..., None]:
    """Resume the newest run of `job.toml`, and hold its end against that of a run that nothing befell."""

    def assert_resumes() -> None:
        resumed = run_forked("resume", "runs/job")
        assert resumed.status == 0, resumed.err
        text = (folder / "job.toml").read_text()
        if text not in WHOLE:
            (folder / "whole.toml").write_text(text)
            assert run_forked("run", "whole.toml").status == 0
            WHOLE[text] = Job("whole").end()
        assert Job().end() == WHOLE[text]

    return assert_resumes


def hold_told(told: Told, *words: str, status: int = 2) -> None:
    """Hold that a command ended as a mistake does: the words are told, and no traceback is."""
    assert (told.status, told.out) == (status, ""), told.err
    assert "Traceback" not in told.err
    assert "Logging error" not in told.err
    assert [word for word in words if word not in told.err] == [], told.err


def run_together(world: int, act: Callable[[int], object], seconds: float = 60) -> list[tuple[int, str]]:
    """Call a function in processes that know of each other, as a launcher starts them; give status and text of each."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])

    def work(rank: int) -> None:
        from accelerate.state import PartialState

        os.setsid()
        handle = os.open(f"rank-{rank}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 2)
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115 (for life)
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "1"}
        PartialState._reset_state()
        act(rank)

    children = [multiprocessing.get_context("fork").Process(target=work, args=(rank,)) for rank in range(world)]
    for child in children:
        child.start()
    for child in children:
        child.join(seconds)
    hanging = [child for child in children if child.exitcode is None]
    for child in hanging:
        child.kill()
    assert not hanging, "it hangs"
    return [(child.exitcode or 0, Path(f"rank-{rank}.txt").read_text()) for rank, child in enumerate(children)]


@pytest.fixture
def forked(folder: Path) -> Callable[..., Told]:
    return run_forked


@pytest.fixture
def at() -> Callable[..., Hooks]:
    return act_at


@pytest.fixture
def assert_told() -> Callable[..., None]:
    return hold_told


@pytest.fixture
def together(folder: Path) -> Callable[..., list[tuple[int, str]]]:
    return run_together


@pytest.fixture
def in_session() -> Callable[..., int]:
    return in_fork
