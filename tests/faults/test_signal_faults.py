"""Signals and killed processes: a clean end with a checkpoint where that can be, no hang, no orphan, the same end."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create .* worker processes:UserWarning"),  # on one core
]

STATUSES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
WAY_ON = "to go on from the last checkpoint: kdseg resume runs/job/"


def to_all(number):
    """Send a signal as a terminal or a cluster does: to the run and its loader workers alike."""
    return lambda _run: os.killpg(0, number)


def to_main(number):
    return lambda _run: os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", STATUSES, ids=lambda number: number.name)
@pytest.mark.parametrize(("send", "workers"), [(to_main, 0), (to_all, 2)])
def test_a_signal_ends_the_step_and_leaves_a_checkpoint(
    forked, write, at, assert_told, assert_resumes, job, send, number, workers
):
    write(workers=workers)
    told = forked("run", "job.toml", watcher=at("on_step_end", 5, send(number)))
    stopping = f"warning: {number.name}: stopping after this step, with a checkpoint"
    assert_told(told, stopping, WAY_ON, status=STATUSES[number])
    assert job().kept() == [4, 5]
    assert_resumes()


@pytest.mark.parametrize("send", [to_main, to_all])
def test_a_signal_in_an_evaluation_waits_for_its_end_and_no_longer(
    forked, write, monkeypatch, assert_told, assert_resumes, job, send
):
    from kdseg.engine.run import state

    write(workers=2)
    evaluate = state.evaluate

    def signalled(*args, **kwargs):
        return evaluate(*args, on_batch=lambda _images: send(signal.SIGTERM)(None), **kwargs)

    told = forked("run", "job.toml", before=lambda: setattr(state, "evaluate", signalled))
    assert_told(told, "SIGTERM: stopping after this evaluation, with a checkpoint", status=143)
    assert job().kept() == [2, 3]  # not a step more
    assert_resumes()


def test_two_ctrl_c_in_an_evaluation_end_it_at_once(forked, write, assert_told, assert_resumes, job):
    from kdseg.engine.run import state

    write(workers=2)
    evaluate = state.evaluate

    def signalled(*args, **kwargs):
        def twice(_images):
            os.killpg(0, signal.SIGINT)
            os.killpg(0, signal.SIGINT)

        return evaluate(*args, on_batch=twice, **kwargs)

    told = forked("run", "job.toml", before=lambda: setattr(state, "evaluate", signalled))
    assert_told(told, "interrupted", WAY_ON, status=130)
    assert job().kept() == [2]
    assert_resumes()


@pytest.mark.parametrize("files", [1, 2, 3])
def test_two_ctrl_c_in_a_checkpoint_leave_no_half_of_it(forked, write, assert_told, assert_resumes, job, files):
    """Interrupted when it has written one file, two, or three."""
    from kdseg.engine.folders import checkpoint

    write()
    sha256 = checkpoint.sha256
    seen = []

    def interrupted(path):
        seen.append(path)
        if "step-00000004" in str(path) and len(seen) % 3 == files % 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return sha256(path)

    told = forked("run", "job.toml", before=lambda: setattr(checkpoint, "sha256", interrupted))
    assert_told(told, "interrupted", WAY_ON, status=130)
    assert job().kept() == [2]
    assert_resumes()


@pytest.mark.parametrize("number", STATUSES, ids=lambda number: number.name)
def test_before_the_first_step_a_signal_ends_it_at_once(forked, write, assert_told, assert_resumes, job, number):
    """While classes are counted, say: that may take minutes, and there is nothing to save."""
    from kdseg.engine.run import assemble

    write(loss='{ use = "cross_entropy", class_weights = "median_frequency" }')
    count = assemble.scan_training

    def signalled(*args, **kwargs):
        os.kill(os.getpid(), number)
        return count(*args, **kwargs) and pytest.fail("it went on")

    told = forked("run", "job.toml", before=lambda: setattr(assemble, "scan_training", signalled))
    assert_told(told, f"{number.name}: stopping at once; no step was taken", status=STATUSES[number])
    assert not (job().folder / "checkpoints").exists()
    assert_resumes()


def test_a_signal_at_the_first_batch_ends_the_first_step(forked, write, at, assert_told, assert_resumes, job):
    write(workers=2)
    told = forked("run", "job.toml", watcher=at("on_epoch_start", 0, to_all(signal.SIGTERM)))
    assert_told(told, "SIGTERM: stopping after this step", status=143)
    assert job().kept() == [1]
    assert_resumes()


def test_nohup_is_heeded(forked, write, at):
    write()
    told = forked(
        "run",
        "job.toml",
        watcher=at("on_step_end", 5, to_all(signal.SIGHUP)),
        before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert told.status == 0


def test_a_terminal_that_goes_away_costs_nothing(forked, write, at, assert_resumes, job):
    """Every write to it fails from then on, and its processes are hung up."""
    write()
    ends = []

    def open_terminal():
        ends.extend(pty.openpty())
        os.dup2(ends[1], 2)

    def hang_up(_run):
        os.close(ends[0])
        with pytest.raises(OSError, match="Input/output error"):
            os.write(2, b"anybody there?")
        os.killpg(0, signal.SIGHUP)

    assert forked("run", "job.toml", watcher=at("on_step_end", 5, hang_up), before=open_terminal).status == 129
    assert job().kept() == [4, 5]
    assert_resumes()


# Several processes


def run_or_die(name, rank, dying, step):
    """Run a recipe in one of several processes, of which one is killed after a step."""
    from kdseg.cli import main
    from kdseg.engine.run.state import Run

    note = Run.note

    def note_and_die(run, *args):
        note(run, *args)
        if rank == dying and run.step == step:
            os.kill(os.getpid(), signal.SIGKILL)

    Run.note = note_and_die
    main(name.split())


@pytest.mark.parametrize("dying", [0, 1])
def test_a_process_that_dies_ends_the_other_with_a_word(together, write, forked, job, dying):
    write(workers=1)
    ended = together(2, lambda rank: run_or_die("run job.toml", rank, dying, 5))
    assert ended[dying][0] == -signal.SIGKILL
    status, told = ended[1 - dying]
    assert status == 2
    assert "another process of this run has ended, and this one cannot go on alone" in told
    assert "Traceback" not in told
    assert "gloo" not in told
    assert job().kept() == [2, 4]
    assert [status for status, _ in together(2, lambda rank: run_or_die("resume runs/job", rank, -1, 0))] == [0, 0]
    write(workers=1, name="whole")
    assert [status for status, _ in together(2, lambda rank: run_or_die("run whole.toml", rank, -1, 0))] == [0, 0]
    assert job().end() == job("whole").end()


def test_processes_that_would_train_alone_are_refused(together, write):
    """A launcher started two, and Accelerate joins none on CPUs unless told to: that would be two runs."""

    def start_without_a_word(rank):
        del os.environ["ACCELERATE_USE_CPU"]
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        run_or_die("run job.toml", rank, -1, 0)

    write()
    ended = together(2, start_without_a_word)
    assert [status for status, _ in ended] == [2, 2]
    said = "2 processes were started, but each would train alone: Accelerate joins them on GPUs"
    assert any(told.startswith(said) for _, told in ended)  # the slower one may find the other gone
    assert all("Traceback" not in told for _, told in ended)
    assert not Path("runs").exists()


def test_all_processes_end_when_training_diverges(together, write, job):
    write(loss='{ use = "failing", at = 5 }')
    for status, told in together(2, lambda rank: run_or_die("run job.toml", rank, -1, 0)):
        assert status == 2
        assert "step 5: loss/labels is nan: training diverged" in told
        assert "Traceback" not in told
    assert job().kept() == [2, 4]


def test_all_processes_end_when_one_meets_bad_data(together, write, fault_in, job):
    write(workers=1)
    fault_in("train label:9")
    ended = together(2, lambda rank: run_or_die("run job.toml", rank, -1, 0))
    assert [status for status, _ in ended] == [2, 2]
    assert any("train-9: its mask holds the label 7" in told for _, told in ended)
    assert all("Traceback" not in told for _, told in ended)


@pytest.fixture
def fault_in(monkeypatch):
    return lambda text: monkeypatch.setenv("FAULT", text)


@pytest.mark.slow
def test_sigterm_to_a_launcher_stops_all_processes_with_one_checkpoint(write, folder, job, forked):
    """torchrun passes it on, and kills after 30 seconds what has not ended by then."""
    write()
    (folder / "job.toml").write_text((folder / "job.toml").read_text().replace("steps = 8", "steps = 1000000"))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = os.environ | {"ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*command, "-m", "kdseg", "run", "job.toml"], stderr=subprocess.PIPE, text=True, env=environment
    ) as launched:
        next(line for line in launched.stderr if "steps;" in line)
        time.sleep(1)
        launched.terminate()
        began = time.monotonic()
        told = launched.stderr.read()
    assert time.monotonic() - began < 25
    assert "SIGTERM: stopping after this" in told  # step or evaluation
    assert WAY_ON in told
    assert job().kept()
    assert not (job().folder / "summary.json").exists()
