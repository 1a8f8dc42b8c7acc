"""Disks that are full or may not be written: told once, nothing half written is believed, and the run goes on later."""

from __future__ import annotations

import ctypes
import errno
import json
import logging
import resource
import subprocess
import traceback
from pathlib import Path

import pytest

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

FULL = "No space left on device"
WAY_ON = "when that is mended, go on from the last checkpoint: kdseg resume runs/job/"


NEW_MOUNTS = 0x00020000
PRIVATE_ALL_BELOW = 1 << 18 | 1 << 14


@pytest.fixture
def in_own_mounts(in_session):
    """Call a function in a forked process that may mount without anybody seeing it; its failure is this process's."""

    def in_own_mounts(function):
        def work():
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.unshare(NEW_MOUNTS) or libc.mount(None, b"/", None, PRIVATE_ALL_BELOW, None):
                    Path("failure.txt").write_text("no mounts")
                    return
                function()
            except BaseException:  # noqa: BLE001 (told in the process of the test)
                Path("failure.txt").write_text(traceback.format_exc())

        assert in_session(work, 200) == 0
        failure = Path("failure.txt").read_text() if Path("failure.txt").exists() else ""
        if failure == "no mounts":
            pytest.skip("this user may not mount; the tests with a limit on file sizes do the same without")
        assert not failure, failure

    return in_own_mounts


def fill(pages):
    """Fill the disk of `runs`, but for so many pages."""
    with Path("runs/filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 (what ends the loop)
        filler.truncate(max(filler.tell() - 4096 * pages, 0))


@pytest.fixture
def at_event(at):
    return lambda event, step, pages: at(event, step, lambda _run: fill(pages))


def mount_disk(*options):
    Path("runs").mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", *options, "none", "runs"], check=True)


@pytest.fixture
def assert_survives_a_full_disk(forked, in_own_mounts, job, write, assert_told, assert_resumes):
    """Let a run's disk fill up, hold what is told and left, make room, and hold the end of the resumed run.

    Gives the file that was told, or None where there was room enough.
    """

    def assert_survives(watcher=None, before=lambda: None):
        def try_it():
            mount_disk("-o", "size=4m")
            told = forked("run", "job.toml", watcher=watcher, before=before)
            if told.status == 0:
                Path("told.txt").write_text("")
                return
            assert job().kept()[-1] >= 2
            assert [path.name for path in job().folder.rglob(".*")] == [".lock"]
            assert not (job().folder / "summary.json").exists()
            assert_told(told, f": {FULL}; {WAY_ON}{job().folder.name}")
            (mistake,) = (line for line in told.err.splitlines() if FULL in line)
            Path("told.txt").write_text(mistake.removeprefix(f"runs/job/{job().folder.name}/").split(":")[0])
            Path("runs/filler").unlink()
            assert_resumes()

        write()
        in_own_mounts(try_it)
        return Path("told.txt").read_text()

    return assert_survives


@pytest.mark.parametrize(
    ("event", "step", "pages", "file"),
    [
        ("on_step_end", 4, 0, "models/student/model.json"),
        ("on_step_end", 3, 2, "models/student/parts.py"),
        ("on_step_end", 4, 2, "checkpoints/step-00000004"),
        ("on_step_end", 4, 4, "checkpoints/step-00000004"),
        ("on_step_end", 3, 8, "confusion/student.json"),
        ("on_evaluation_end", 8, 3, "checkpoints/step-00000008"),
        ("on_run_end", 8, 0, "pictures/comparison.png"),
    ],
)
def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(
    assert_survives_a_full_disk, at_event, event, step, pages, file
):
    assert assert_survives_a_full_disk(at_event(event, step, pages)) == file


@pytest.mark.slow
@pytest.mark.parametrize(("event", "step"), [("on_step_end", 3), ("on_step_end", 4), ("on_evaluation_end", 8)])
def test_it_is_so_however_little_room_is_left(assert_survives_a_full_disk, at_event, event, step):
    """From no page at all up to where the run has room enough."""
    files = []
    while not files or files[-1]:
        files.append(assert_survives_a_full_disk(at_event(event, step, len(files))))
    assert len(files) > 20


def test_a_disk_that_fills_while_numbers_are_written_keeps_whole_lines(assert_survives_a_full_disk, at):
    def fill_and_record(run):
        fill(0)
        for number in range(100):
            run.record("mine/number", float(number))

    assert assert_survives_a_full_disk(at("on_step_end", 5, fill_and_record)) == "metrics.jsonl"


def test_a_disk_that_fills_while_the_log_is_written_is_told_once(assert_survives_a_full_disk, at):
    def fill_and_log(_run):
        fill(0)
        for number in range(200):
            logging.getLogger("kdseg.tests").info("line %d", number)

    assert assert_survives_a_full_disk(at("on_step_end", 5, fill_and_log)) == "log.txt"


def test_a_disk_that_fills_before_the_summary_leaves_a_run_to_be_resumed(assert_survives_a_full_disk, monkeypatch):
    from kdseg.engine.run import summary

    write = summary.write_json

    def fill_and_write(path, value):
        fill(0)
        summary.write_json = write
        write(path, value)

    def full_at_the_end():
        summary.write_json = fill_and_write

    assert assert_survives_a_full_disk(before=full_at_the_end) == "summary.json"


def test_a_disk_that_is_full_from_the_start_begins_no_run(forked, write, in_own_mounts, assert_told):
    def try_it():
        mount_disk("-o", "size=4m")
        fill(0)
        assert_told(forked("run", "job.toml"), FULL)

    write()
    in_own_mounts(try_it)


# Folders that may not be written


def test_an_output_folder_that_is_read_only_is_refused_before_training(forked, write, in_own_mounts, assert_told):
    def try_it():
        mount_disk("-o", "ro")
        told = forked("run", "job.toml")
        assert_told(told, "output.folder: runs cannot be written to (Read-only file system); name a folder that can")
        assert not list(Path("runs").iterdir())

    write()
    in_own_mounts(try_it)


def test_a_run_whose_folder_becomes_read_only_is_told(
    forked, write, in_own_mounts, job, at, assert_told, assert_resumes
):
    def try_it():
        def protect(run):
            subprocess.run(["mount", "--bind", run.folder, run.folder], check=True)
            subprocess.run(["mount", "-o", "remount,bind,ro", run.folder], check=True)

        told = forked("run", "job.toml", watcher=at("on_step_end", 3, protect))
        assert_told(told, "confusion: Read-only file system; " + WAY_ON)
        assert job().kept() == [2]
        subprocess.run(["umount", job().folder], check=True)
        assert_resumes()

    write()
    in_own_mounts(try_it)


# Limits, which any user meets


def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_half_a_line_that_still_went_in_does_not_stay(forked, write, at, job, assert_told, assert_resumes):
    """The disk takes a part of the sixth step's line and no more."""
    write()
    told = forked(
        "run",
        "job.toml",
        watcher=at("on_step_end", 5, lambda run: limit((run.folder / "metrics.jsonl").stat().st_size + 20)),
    )
    assert_told(told, "metrics.jsonl: File too large; " + WAY_ON)
    lines = (job().folder / "metrics.jsonl").read_text()
    assert lines.endswith("\n")
    assert json.loads(lines.splitlines()[-1])["step"] == 5
    assert_resumes()


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(forked, write, at, job, assert_told, assert_resumes):
    write()
    told = forked("run", "job.toml", watcher=at("on_step_end", 3, lambda _run: limit(6000)))
    assert_told(told, "checkpoints/step-00000004: File too large; " + WAY_ON)
    assert job().kept() == [2]
    assert_resumes()


def test_of_several_processes_one_tells_and_all_end(together, write, job):
    from kdseg.cli import main
    from kdseg.engine.run.state import Run

    note = Run.note

    def work(rank):
        def note_and_limit(run, *args):
            note(run, *args)
            if rank == 0 and run.step == 3:
                limit(6000)

        Run.note = note_and_limit
        main(["run", "job.toml"])

    write()
    (first, told), (second, other) = together(2, work)
    assert (first, second) == (2, 2)
    assert "checkpoints/step-00000004: File too large; " + WAY_ON in told
    assert "another process of this run has ended" in other
    assert "Traceback" not in told + other
    assert job().kept() == [2]
