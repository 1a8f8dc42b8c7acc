"""Clocks that jump back, and runs that begin at one moment: the newest run stays the newest."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import time
from datetime import datetime, timedelta

import pytest
from fault_jobs import student_job

import kdseg
from kdseg.engine.folders import run_folder
from kdseg.engine.folders.run_folder import find_run, make_run_folder, runs_of, write_environment
from kdseg.engine.run.start import run_recipe
from kdseg.hooks import Hooks
from kdseg.recipe.load import load_recipe
from kdseg.recipe.save import save_recipe

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

RECIPE = student_job(6, evaluate='evaluate = { every = 1000, unit = "step" }')
NOON = datetime(2026, 10, 25, 2, 30)  # noqa: DTZ001 (what a person reads off the wall that night, twice)


class Clock:
    """The wall clock as `run_folder` reads it, and as anybody may set it."""

    def __init__(self):
        self.time = NOON

    def now(self):
        return self.time


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(run_folder, "datetime", clock)
    return clock


@pytest.fixture
def loaded(tmp_path, monkeypatch, one_thread):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda _handle: None)
    (tmp_path / "job.toml").write_text(RECIPE, encoding="utf-8")
    return load_recipe(tmp_path / "job.toml")


def begin(loaded):
    """Begin a run as far as others see it."""
    folder = make_run_folder(loaded)
    save_recipe(loaded.recipe, loaded.plugins.registry, folder / "recipe.toml")
    write_environment(folder, loaded, {})
    return folder


def assert_in_order(made, loaded):
    """Hold whatever asks for the newest run against the order in which they were made."""
    home = made[0].parent
    assert list(runs_of(loaded)) == made[::-1]
    assert find_run(home) == find_run(home / "latest") == made[-1]
    assert sorted(path.name for path in home.iterdir()) == [*(path.name for path in made), "latest"]  # `ls`, too


@pytest.mark.parametrize(
    "jump",
    [timedelta(hours=1), timedelta(seconds=1), timedelta(days=56 * 365)],
    ids=["summer time ends", "NTP mends a second", "a flat battery"],
)
def test_a_clock_that_jumps_back_between_runs(loaded, clock, jump):
    made = [begin(loaded)]
    clock.time += timedelta(seconds=5)
    made.append(begin(loaded))
    clock.time -= jump
    made += [begin(loaded), begin(loaded)]
    clock.time += jump + timedelta(seconds=2)
    made.append(begin(loaded))
    stamp = "20261025-023005"
    names = ["20261025-023000", stamp, f"{stamp}-02", f"{stamp}-03", "20261025-023007"]
    assert [path.name for path in made] == names
    assert_in_order(made, loaded)


def test_a_clock_that_was_once_far_ahead(loaded, clock):
    clock.time += timedelta(days=40_000)
    made = [begin(loaded)]
    clock.time = NOON
    made += [begin(loaded) for _ in range(3)]
    assert_in_order(made, loaded)


def test_eleven_runs_in_one_second(loaded, clock):
    assert_in_order([begin(loaded) for _ in range(11)], loaded)


def test_even_hundreds_and_those_named_by_hand(loaded, clock):
    home = begin(loaded).parent
    for name in ("20261025-023000-2", "20261025-023000-10", "20261025-023000-99", "20270101-note", "3"):
        (home / name).mkdir()
    made = [begin(loaded) for _ in range(3)]
    assert [path.name[-4:] for path in made] == ["-100", "-101", "-102"]
    assert find_run(home) == made[-1]
    assert list(runs_of(loaded))[:3] == made[::-1]


def test_a_run_that_was_deleted_or_killed_at_birth_hides_no_other(loaded, clock):
    first, second = begin(loaded), begin(loaded)
    make_run_folder(loaded)  # and killed before it had a recipe
    assert find_run(first.parent) == second
    assert list(runs_of(loaded)) == [second, first]
    for folder in (first.parent / "20261025-023000-03", second):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    assert not (first.parent / "latest").exists()  # it dangles, by a person's hand
    assert find_run(first.parent) == first


@pytest.mark.parametrize("content", ["", "[]", "null", "[" * 100_000, "\ud800"])
def test_a_run_whose_environment_is_damaged_is_passed_over(loaded, clock, content):
    first, second = begin(loaded), begin(loaded)
    (second / "environment.json").write_text(content, encoding="utf-8", errors="surrogatepass")
    assert list(runs_of(loaded)) == [first]


class Jump(Hooks):
    """Sets the wall clock back by a year, twice, and forward again; and may kill itself."""

    def __init__(self, wall, kill_at=None):
        self.wall, self.kill_at = wall, kill_at

    def on_step_end(self, run):
        self.wall.offset += {2: -3.2e7, 4: -3600.0, 5: 3.3e7}.get(run.step, 0.0)
        if run.step == self.kill_at:
            os.kill(os.getpid(), 9)


@pytest.fixture
def wall(monkeypatch):
    """Make `time.time` jump; `datetime.now` is read in `run_folder` alone."""

    class Wall:
        offset = 0.0

    wall, seconds = Wall(), time.time
    monkeypatch.setattr(time, "time", lambda: seconds() + wall.offset)
    return wall


def weights(run):
    return (run / "models" / "student" / "last.safetensors").read_bytes()


def test_a_clock_that_jumps_back_in_mid_run(loaded, wall, clock):
    plain = run_recipe(loaded)
    clock.time -= timedelta(hours=1)
    run = run_recipe(loaded, console=lambda: Jump(wall))
    assert wall.offset != 0
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    seconds = [line["seconds"] for line in lines if line["kind"] == "step"]
    assert len(seconds) == 6
    assert all(0 <= taken < 100 for taken in [*seconds, run.summary["seconds"]])
    assert weights(run.folder) == weights(plain.folder)
    assert kdseg.load(run.folder.parent, trust_code=True).classes == ("red", "green", "blue")
    assert find_run(run.folder.parent) == run.folder


def test_run_resume_finds_the_killed_run_though_it_began_by_an_earlier_clock(loaded, wall, clock, caplog):
    plain = run_recipe(loaded)
    clock.time -= timedelta(hours=1)
    child = multiprocessing.get_context("fork").Process(
        target=lambda: run_recipe(loaded, console=lambda: Jump(wall, kill_at=5))
    )
    child.start()
    child.join(60)
    assert child.exitcode == -9
    killed = find_run(plain.folder.parent)
    assert killed != plain.folder
    clock.time -= timedelta(days=365)
    caplog.set_level("INFO", "kdseg")
    assert run_recipe(loaded, resume=True).folder == killed
    assert "resumed at step 4 of 6" in caplog.messages
    assert weights(killed) == weights(plain.folder)


def test_weights_by_recipe_take_the_run_that_was_made_last(loaded, tmp_path, clock):
    first = run_recipe(loaded).folder
    clock.time -= timedelta(hours=1)
    second = run_recipe(loaded).folder
    text = RECIPE.replace('"tiny"', '"tiny"\nweights = { recipe = "job.toml" }')
    (tmp_path / "next.toml").write_text(text, encoding="utf-8")
    run = run_recipe(load_recipe(tmp_path / "next.toml")).folder
    assert first != second
    assert f'run = "{second}"' in (run / "recipe.toml").read_text()


def hammer(loaded, barrier, pipe, times):
    made = []
    for _ in range(times):
        barrier.wait(30)
        made.append(make_run_folder(loaded).name)
    pipe.send(made)


def test_runs_that_two_processes_begin_at_one_moment(loaded):
    """Fifty pairs, each released by a barrier, while a third process looks whether `latest` ever dangles."""
    context, times = multiprocessing.get_context("fork"), 50
    barrier = context.Barrier(2)
    pipes = [context.Pipe(duplex=False) for _ in range(2)]
    children = [context.Process(target=hammer, args=(loaded, barrier, pipe[1], times)) for pipe in pipes]
    for child in children:
        child.start()
    home = loaded.recipe.output.folder / loaded.recipe.name
    seen, looks = set(), 0
    while any(child.is_alive() for child in children) and looks < 10**6:
        looks += 1
        if (home / "latest").is_symlink():
            seen.add((home / "latest").resolve(strict=True).name)
    made = [pipe[0].recv() for pipe in pipes]
    for child in children:
        child.join(30)
        assert child.exitcode == 0
    every = list(itertools.chain(*made))
    assert len(set(every)) == 2 * times
    assert seen <= set(every)
    assert (home / "latest").resolve(strict=True).name in {names[-1] for names in made}
    assert sorted(path.name for path in home.iterdir()) == [*sorted(every), "latest"]
    assert len(seen) > 1
